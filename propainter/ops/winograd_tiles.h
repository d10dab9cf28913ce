/* The convolution for one width of vectors. winograd.c includes this once for each; TARGET, WIDTH and PANEL are its own.
 *
 * A tile's pixels, a vector of channels at a time, become N = n_rows * n_columns products' left factors; for each product
 * all tiles of a block times its matrix is a matrix multiplication; what comes of it becomes the tile's results.
 */

#define JOIN_(name, width) name##_##width
#define JOIN(name, width) JOIN_(name, width)
#define vec JOIN(vec, WIDTH)
#define loose JOIN(loose, WIDTH)
#define words JOIN(words, WIDTH)
#define halves JOIN(halves, WIDTH)
#define load JOIN(load, WIDTH)
#define store JOIN(store, WIDTH)
#define to_products JOIN(to_products, WIDTH)
#define to_results JOIN(to_results, WIDTH)
#define multiply JOIN(multiply, WIDTH)
#define multiply_panel JOIN(multiply_panel, WIDTH)
#define tiles JOIN(tiles, WIDTH)
#define INLINE static inline __attribute__((always_inline, target(TARGET)))

typedef float vec __attribute__((vector_size(WIDTH * 4)));
typedef float loose __attribute__((vector_size(WIDTH * 4), aligned(4), may_alias));
typedef uint32_t words __attribute__((vector_size(WIDTH * 4)));
typedef uint16_t halves __attribute__((vector_size(WIDTH * 2)));

/* A vector of channels, zeros from `left` on; half: from bfloat16. */
INLINE vec load(const char *from, const long left, const int half)
{
    if (half) {
        halves part = {0};
        memcpy(&part, from, left >= WIDTH ? WIDTH * 2 : left * 2);
        return (vec)(__builtin_convertvector(part, words) << 16);
    }
    if (left >= WIDTH)
        return *(const loose *)from;
    vec part = {0};
    memcpy(&part, from, left * 4);
    return part;
}

INLINE void store(char *to, const vec value, const long left, const int half)
{
    if (half) {
        words bits = (words)value;
        halves rounded = __builtin_convertvector((bits + 0x7fff + (bits >> 16 & 1)) >> 16, halves);
        memcpy(to, &rounded, left >= WIDTH ? WIDTH * 2 : left * 2);
    } else if (left >= WIDTH)
        *(loose *)to = value;
    else
        for (long c = 0; c < left; c++)
            ((float *)to)[c] = value[c];
}

/* n pixels in a line, `step` apart, to n products. The points but 0 and infinity come in pairs p and -p, whose
 * polynomials differ by the sign of their odd powers: each pair's even and odd half is computed once. */
INLINE void to_products(const int n, const long step, const vec *pixels, vec *products, const float *factors)
{
    if (n == 1) {
        products[0] = pixels[0];
        return;
    }
    const int h = n / 2;
    vec zero = pixels[0] * factors[0], infinity = pixels[step] * factors[h];
    for (int k = 1; k < h; k++) {
        zero += factors[k] * pixels[2 * k * step];
        infinity += factors[h + k] * pixels[(2 * k + 1) * step];
    }
    products[0] = zero;
    products[(n - 1) * step] = infinity;
    factors += n;
    for (int pair = 0; pair < h - 1; pair++, factors += n - 2) {
        vec even = factors[0] * pixels[2 * step], odd = factors[h - 1] * pixels[step];
        for (int k = 1; k < h - 1; k++) {
            even += factors[k] * pixels[(2 * k + 2) * step];
            odd += factors[h - 1 + k] * pixels[(2 * k + 1) * step];
        }
        products[(1 + 2 * pair) * step] = even + odd;
        products[(2 + 2 * pair) * step] = even - odd;
    }
}

/* n products in a line to m results: values of a polynomial back to its coefficients' sums. */
INLINE void to_results(
    const int n, const int m, const long step, const vec *products, vec *results, const long result_step,
    const float *powers)
{
    if (n == 1) {
        results[0] = products[0];
        return;
    }
    const int pairs = n / 2 - 1;
    vec sum[pairs], difference[pairs];
    for (int pair = 0; pair < pairs; pair++) {
        sum[pair] = products[(1 + 2 * pair) * step] + products[(2 + 2 * pair) * step];
        difference[pair] = products[(1 + 2 * pair) * step] - products[(2 + 2 * pair) * step];
    }
    for (int i = 0; i < m; i++) {
        vec result = powers[i] * (i % 2 ? difference[0] : sum[0]);
        for (int pair = 1; pair < pairs; pair++)
            result += powers[pair * m + i] * (i % 2 ? difference[pair] : sum[pair]);
        if (i == 0)
            result += products[0];
        if (i == m - 1)
            result += products[(n - 1) * step];
        results[i * result_step] = result;
    }
}

/* ROWS tiles of `inputs` channels times a panel of `vectors` vectors of outputs; unrolled, the sums stay in registers. */
INLINE void multiply(
    const int vectors, const long inputs, const float *left, const long left_step, const float *panel, float *out,
    const long out_step)
{
    vec sums[ROWS][PANEL] = {0}, right[PANEL];
    for (long k = 0; k < inputs; k++) {
        UNROLL for (int v = 0; v < vectors; v++)
            right[v] = *(const vec *)(panel + (k * vectors + v) * WIDTH);
        UNROLL for (int row = 0; row < ROWS; row++)
            UNROLL for (int v = 0; v < vectors; v++)
                sums[row][v] += left[row * left_step + k] * right[v];
    }
    UNROLL for (int row = 0; row < ROWS; row++)
        UNROLL for (int v = 0; v < vectors; v++)
            *(vec *)(out + row * out_step + v * WIDTH) = sums[row][v];
}

static __attribute__((noinline, target(TARGET))) void multiply_panel(
    const long vectors, const long inputs, const float *left, const long left_step, const float *panel, float *out,
    const long out_step)
{
    switch (vectors) {
    case 1: multiply(1, inputs, left, left_step, panel, out, out_step); break;
    case 2: multiply(2, inputs, left, left_step, panel, out, out_step); break;
#if PANEL > 2
    case 3: multiply(3, inputs, left, left_step, panel, out, out_step); break;
    case 4: multiply(4, inputs, left, left_step, panel, out, out_step); break;
#endif
    }
}

/* All of a job's tiles; n pixels a side give m results a side. */
INLINE void tiles(const struct job *job, const int nr, const int mr, const int nc, const int mc, const int half)
{
    const long size = half ? 2 : 4, N = nr * nc;
    const long inputs = padded(job->inputs), outputs = padded(job->outputs);
    const long down = (job->out_height + mr - 1) / mr, across = (job->out_width + mc - 1) / mc;
    for (long first = job->first; first < job->last; first += job->at_once) {
        const long count = job->last - first < job->at_once ? job->last - first : job->at_once;
        /* A line more than a multiple of the cache's ways, or all products of a tile would fall into one. */
        const long rows = (count + ROWS - 1) / ROWS * ROWS;
        const long left_step = rows * inputs + LINE, out_step = rows * outputs + LINE;
        float *left = job->scratch, *out = left + N * left_step;
        for (long t = 0; t < count; t++) {
            const long image = (first + t) / across / down;
            const long row = (first + t) / across % down * mr - job->pad_rows;
            const long column = (first + t) % across * mc - job->pad_columns;
            const long pixel = job->image_step * size, line = job->width * pixel;
            const char *corner = job->image + (image * job->height + row) * line + column * pixel, *from[nr * nc];
            for (int i = 0; i < nr; i++)
                for (int j = 0; j < nc; j++) {
                    const long y = row + i, x = column + j;
                    const int inside = y >= 0 && y < job->height && x >= 0 && x < job->width;
                    from[i * nc + j] = inside ? corner + i * line + j * pixel : job->zeros;
                }
            for (long c = 0; c < job->inputs; c += WIDTH) {
                /* What the next tile reads and this one does not, asked for early: the processor foresees no tiles. */
                for (int i = 0; i < nr; i++)
                    for (int j = nc; j < nc + mc; j++)
                        __builtin_prefetch(corner + i * line + j * pixel + c * size);
                vec pixels[nr * nc], half_way[nr * nc], products[nr * nc];
                for (int p = 0; p < N; p++)
                    pixels[p] = load(from[p] + c * size, job->inputs - c, half);
                for (int j = 0; j < nc; j++)
                    to_products(nr, nc, pixels + j, half_way + j, job->row_factors);
                for (int i = 0; i < nr; i++)
                    to_products(nc, 1, half_way + i * nc, products + i * nc, job->column_factors);
                for (int p = 0; p < N; p++)
                    *(vec *)(left + p * left_step + t * inputs + c) = products[p];
            }
        }
        for (int p = 0; p < N; p++)
            memset(left + p * left_step + count * inputs, 0, (rows - count) * inputs * 4);
        const float *panel = job->weights;
        for (int p = 0; p < N; p++)
            for (long o = 0; o < outputs; o += PANEL * WIDTH) {
                const long vectors = outputs - o < PANEL * WIDTH ? (outputs - o) / WIDTH : PANEL;
                for (long t = 0; t < rows; t += ROWS)
                    multiply_panel(
                        vectors, job->inputs, left + p * left_step + t * inputs, inputs, panel,
                        out + p * out_step + t * outputs + o, outputs);
                panel += job->inputs * vectors * WIDTH;
            }
        for (long t = 0; t < count; t++) {
            const long image = (first + t) / across / down;
            const long row = (first + t) / across % down * mr, column = (first + t) % across * mc;
            const long pixel = job->out_step * size, line = job->out_width * pixel;
            const long below = job->out_height - row < mr ? job->out_height - row : mr;
            const long beside = job->out_width - column < mc ? job->out_width - column : mc;
            char *corner = job->out + (image * job->out_height + row) * line + column * pixel;
            for (long o = 0; o < job->outputs; o += WIDTH) {
                for (int i = 0; i < below; i++)
                    for (int j = 0; j < beside; j++)
                        __builtin_prefetch(corner + i * line + j * pixel + (o + WIDTH) * size, 1);
                vec products[nr * nc], half_way[mr * nc], results[mr * mc];
                for (int p = 0; p < N; p++)
                    products[p] = *(const vec *)(out + p * out_step + t * outputs + o);
                for (int j = 0; j < nc; j++)
                    to_results(nr, mr, nc, products + j, half_way + j, nc, job->row_powers);
                for (int i = 0; i < mr; i++)
                    to_results(nc, mc, 1, half_way + i * nc, results + i * mc, 1, job->column_powers);
                const vec bias = job->bias ? load((const char *)(job->bias + o), job->outputs - o, 0) : (vec){0};
                for (int i = 0; i < below; i++)
                    for (int j = 0; j < beside; j++)
                        store(
                            corner + i * line + j * pixel + o * size, results[i * mc + j] + bias, job->outputs - o, half);
            }
        }
    }
}

static __attribute__((target(TARGET))) void JOIN(convolve, WIDTH)(const struct job *job)
{
    const int kind = job->taps_rows * 10 + job->taps_columns;
    switch (job->half ? -kind : kind) {
    case 33: tiles(job, 6, 4, 6, 4, 0); break;
    case 15: tiles(job, 1, 1, 10, 6, 0); break;
    case 51: tiles(job, 10, 6, 1, 1, 0); break;
    case 11: tiles(job, 1, 1, 1, 1, 0); break;
    case -33: tiles(job, 6, 4, 6, 4, 1); break;
    case -15: tiles(job, 1, 1, 10, 6, 1); break;
    case -51: tiles(job, 10, 6, 1, 1, 1); break;
    case -11: tiles(job, 1, 1, 1, 1, 1); break;
    }
}

#undef vec
#undef loose
#undef words
#undef halves
#undef load
#undef store
#undef to_products
#undef to_results
#undef multiply
#undef multiply_panel
#undef tiles
#undef INLINE
#undef JOIN
#undef JOIN_
#undef TARGET
#undef WIDTH
#undef PANEL
