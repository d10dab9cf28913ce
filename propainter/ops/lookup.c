/* Looking up windows of 9x9 in a correlation pyramid; propainter/models/raft/correlation.py calls it. */

#include <math.h>
#include <string.h>

enum { RADIUS = 4, SIDE = 2 * RADIUS + 1 };

void look_up(
    const float *level, const float *centres, float scale, float *out, long cells, long rows, long columns, long stride);

/* For each cell a window around `centres` (x, y), bilinear, zeros outside: out is (cells, stride), of which SIDE * SIDE are
 * written, the step along x before the step along y. `level` is (cells, rows, columns). */
void look_up(
    const float *level, const float *centres, float scale, float *out, long cells, long rows, long columns, long stride)
{
    for (long cell = 0; cell < cells; cell++, level += rows * columns, out += stride) {
        const float x = centres[2 * cell] * scale, y = centres[2 * cell + 1] * scale;
        const float x_floor = floorf(x), y_floor = floorf(y), x_part = x - x_floor, y_part = y - y_floor;
        /* Compared before it is an integer: a flow that ran away, or is no number, is outside. */
        const long left = x_floor > -SIDE && x_floor < columns + SIDE ? (long)x_floor - RADIUS : -2 * SIDE;
        const long top = y_floor > -SIDE && y_floor < rows + SIDE ? (long)y_floor - RADIUS : -2 * SIDE;
        float patch[SIDE + 1][SIDE + 1] = {{0}}, blended[SIDE + 1][SIDE];
        const long first = left < 0 ? -left : 0, end = columns - left < SIDE + 1 ? columns - left : SIDE + 1;
        for (long i = 0; i <= SIDE && end > first; i++)
            if (top + i >= 0 && top + i < rows)
                memcpy(patch[i] + first, level + (top + i) * columns + left + first, (end - first) * sizeof(float));
        for (int i = 0; i <= SIDE; i++)
            for (int j = 0; j < SIDE; j++)
                blended[i][j] = patch[i][j] * (1 - x_part) + patch[i][j + 1] * x_part;
        for (int j = 0; j < SIDE; j++)
            for (int i = 0; i < SIDE; i++)
                out[j * SIDE + i] = blended[i][j] * (1 - y_part) + blended[i + 1][j] * y_part;
    }
}
