/* Sampling for deformable convolution; deform_conv.py calls it. */

#include <math.h>
#include <string.h>

struct samples {
    const float *image, *y, *x, *strength;
    float *out;
    long height, width, places, groups, taps, channels; /* places of one image, channels of one group */
};

void sample(const struct samples *job, long first, long last);

static inline __attribute__((always_inline)) void sample_places(
    const struct samples *job, const long channels, long first, long last)
{
    const long step = job->groups * channels, row = job->width * step;
    for (long at = first * job->groups * job->taps; at < last * job->groups * job->taps; at++) {
        const long place = at / (job->groups * job->taps), group = at / job->taps % job->groups;
        const float *corner = job->image + place / job->places * job->height * row + group * channels;
        const float y = job->y[at], x = job->x[at], top = floorf(y), left = floorf(x);
        float *out = job->out + at * channels;
        memset(out, 0, channels * sizeof(float));
        /* Compared before they are integers: a place that ran away, or is no number, is outside. */
        if (!(top >= -1 && top < job->height && left >= -1 && left < job->width))
            continue;
        const long i = (long)top, j = (long)left;
        const float down = y - top, right = x - left, strength = job->strength[at];
        for (int below = 0; below < 2; below++)
            for (int beside = 0; beside < 2; beside++) {
                if (i + below < 0 || i + below >= job->height || j + beside < 0 || j + beside >= job->width)
                    continue;
                const float weight = strength * (below ? down : 1 - down) * (beside ? right : 1 - right);
                const float *from = corner + (i + below) * row + (j + beside) * step;
                for (long c = 0; c < channels; c++)
                    out[c] += weight * from[c];
            }
    }
}

/* Places `first` to `last` of out (images * places, groups, taps, channels) from images (height, width, groups, channels),
 * bilinear, zeros outside; y, x and strength are as out without its channels. */
void sample(const struct samples *job, long first, long last)
{
    switch (job->channels) { /* the sizes in use, unrolled */
    case 8: sample_places(job, 8, first, last); break;
    case 16: sample_places(job, 16, first, last); break;
    default: sample_places(job, job->channels, first, last);
    }
}
