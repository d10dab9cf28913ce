/* Convolutions with fewer multiplications, on channels-last maps; winograd.py describes and calls them.
 *
 * Written with the compiler's vector types, twice: for AVX-512 and for AVX2. Other processors use torch's convolution.
 */

#include <stdint.h>
#include <string.h>

enum { ROWS = 6, LINE = 16 }; /* tiles multiplied at a time; floats of a cache line */

#define UNROLL _Pragma("GCC unroll 8")

/* As in winograd.py; `zeros` is a pixel of them. Steps are in elements; tiles `first` to `last` are computed, `at_once`
 * at a time. */
struct job {
    const char *image, *zeros;
    const float *weights, *bias;
    char *out;
    float *scratch;
    const float *row_factors, *column_factors, *row_powers, *column_powers;
    long half, taps_rows, taps_columns, height, width, inputs, image_step, out_height, out_width, outputs, out_step;
    long pad_rows, pad_columns, first, last, at_once;
};

static inline long padded(long channels)
{
    return (channels + LINE - 1) / LINE * LINE;
}

const char *source_digest(void);
long widest_panel(void);
void convolve(const struct job *job, long panel);

/* Of what this was compiled from, so that it is not called by another version. */
const char *source_digest(void)
{
    return SOURCE_DIGEST;
}

#if defined(__x86_64__)

#define TARGET "avx512f,avx512bw,avx512vl,avx512dq,fma"
#define WIDTH 16
#define PANEL 4
#include "winograd_tiles.h"

#define TARGET "avx2,fma"
#define WIDTH 8
#define PANEL 2
#include "winograd_tiles.h"

/* Floats of the widest panel of outputs that this processor multiplies at a time; 0 where it can do neither. */
long widest_panel(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512dq"))
        return 64;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 16 : 0;
}

void convolve(const struct job *job, long panel)
{
    if (panel == 64)
        convolve_16(job);
    else
        convolve_8(job);
}

#else

long widest_panel(void)
{
    return 0;
}

#endif
