/* Sampling for deformable convolution; deform_conv.py calls it. */

#include <string.h>

struct samples {
    const float *image, *y, *x, *strength;
    float *out;
    long height, width, groups, taps, channels; /* channels of one group */
};

void sample(const struct samples *job, long first, long last);

/* Four pixels' channels; by itself, since compilers see only so that its vectors overlap nothing. */
static inline __attribute__((always_inline)) void blend(
    const long channels, const float *weights, const float *a, const float *b, const float *c, const float *d,
    float *restrict out)
{
    const float w0 = weights[0], w1 = weights[1], w2 = weights[2], w3 = weights[3];
    for (long k = 0; k < channels; k++)
        out[k] = w0 * a[k] + w1 * b[k] + w2 * c[k] + w3 * d[k];
}

static inline __attribute__((always_inline)) void sample_one(
    const struct samples *job, const long channels, const float *image, float y, float x, float strength, float *out)
{
    const long step = job->groups * channels, row = job->width * step;
    /* Compared before they are integers: a place that ran away, or is no number, is outside. */
    if (!(y > -1 && y < job->height && x > -1 && x < job->width)) {
        memset(out, 0, channels * sizeof(float));
        return;
    }
    const long i = (long)y - (y < 0), j = (long)x - (x < 0);
    const float down = y - i, right = x - j;
    const float weights[4] = {
        strength * (1 - down) * (1 - right), strength * (1 - down) * right, strength * down * (1 - right),
        strength * down * right};
    const float *corner = image + i * row + j * step;
    if (i >= 0 && i + 1 < job->height && j >= 0 && j + 1 < job->width) {
        blend(channels, weights, corner, corner + step, corner + row, corner + row + step, out);
        return;
    }
    memset(out, 0, channels * sizeof(float));
    for (long below = 0; below < 2; below++)
        for (long beside = 0; beside < 2; beside++)
            if (i + below >= 0 && i + below < job->height && j + beside >= 0 && j + beside < job->width)
                for (long c = 0; c < channels; c++)
                    out[c] += weights[2 * below + beside] * corner[below * row + beside * step + c];
}

static inline __attribute__((always_inline)) void sample_places(
    const struct samples *job, const long channels, long first, long last)
{
    long at = first * job->groups * job->taps;
    for (long place = first; place < last; place++)
        for (long group = 0; group < job->groups; group++)
            for (long tap = 0; tap < job->taps; tap++, at++)
                sample_one(
                    job, channels, job->image + group * channels, job->y[at], job->x[at], job->strength[at],
                    job->out + at * channels);
}

/* Places `first` to `last` of out (places, groups, taps, channels) from an image (height, width, groups, channels),
 * bilinear, zeros outside; y, x and strength are as out without its channels. */
void sample(const struct samples *job, long first, long last)
{
    switch (job->channels) { /* the sizes in use, unrolled */
    case 8: sample_places(job, 8, first, last); break;
    case 16: sample_places(job, 16, first, last); break;
    default: sample_places(job, job->channels, first, last);
    }
}
