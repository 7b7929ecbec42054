/* The work of spmd's kernel `chain`, index by index the same; kernels/chain.rs has the formulas.
 *
 *   chain_omp N THREADS WARMUP PASSES SHAPE STEPS SEED     schedule and chunk: OMP_SCHEDULE
 *
 * Not to be compiled with fused multiplications: -ffp-contract=off. */
#include "passes.h"
#include <omp.h>
#include <stdint.h>

typedef unsigned __int128 wide;

static uint64_t mean, size, seed, image[4096], total;

static uint64_t hash(uint64_t index) {
    uint64_t z = seed * 0xd1342543de82ef95u + index * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t scaled(uint64_t a, uint64_t b, uint64_t c) {
    return (uint64_t)((wide)a * b / c);
}

static uint64_t bump(int64_t p, int64_t centre) {
    int64_t t = p < centre ? centre - p : p - centre;
    if (t >= 8192)
        return 0;
    uint64_t q = (uint64_t)(8192 * 8192 - t * t);
    return q * q >> 36;
}

static void draw(void) {
    const int64_t one = 1 << 20;
    for (int64_t row = 0; row < 64; row++)
        for (int64_t col = 0; col < 64; col++) {
            int64_t cr = (2 * col + 1) * 24576 - 2097152, ci = (2 * row + 1) * 24576 - 1572864;
            int64_t zr = 0, zi = 0;
            uint64_t count = 0;
            while (count < 256) {
                int64_t a = zr * zr / one, b = zi * zi / one;
                if (a + b > 4 * one)
                    break;
                count++;
                zi = 2 * zr * zi / one + ci;
                zr = a - b + cr;
            }
            image[64 * row + col] = count;
            total += count;
        }
}

static uint64_t steps_constant(uint64_t i) {
    (void)i;
    return mean;
}

static uint64_t steps_linear(uint64_t i) {
    return scaled(2 * i + 1, mean, size);
}

static uint64_t steps_heavy(uint64_t i) {
    return mean * 1024000 / (7509 * ((hash(i) >> 54) + 1));
}

static uint64_t steps_humps(uint64_t i) {
    int64_t p = (int64_t)scaled(i, 65536, size);
    return mean * (131072 + 30 * bump(p, 16384) + 15 * bump(p, 49152)) / 524288;
}

static uint64_t steps_mandelbrot(uint64_t i) {
    return scaled(mean * 4096, image[scaled(i, 65536, size) >> 4], total);
}

static const struct {
    const char *name;
    uint64_t (*steps)(uint64_t);
} shapes[] = {
    {"constant", steps_constant}, {"linear", steps_linear},         {"heavy", steps_heavy},
    {"humps", steps_humps},       {"mandelbrot", steps_mandelbrot},
};

static double chain(uint64_t bits, uint64_t steps) {
    double v = (double)(bits >> 11) * 0x1p-53;
    for (uint64_t at = 0; at < steps; at++) {
        v = v * 0.999999;
        v = v + 0.000001;
    }
    return v;
}

int main(int argc, char **argv) {
    if (argc < 8)
        return 2;
    long n = atol(argv[1]);
    int threads = atoi(argv[2]), warmup = atoi(argv[3]), passes = atoi(argv[4]);
    uint64_t (*steps)(uint64_t) = NULL;
    for (size_t at = 0; at < sizeof shapes / sizeof *shapes; at++)
        if (!strcmp(argv[5], shapes[at].name))
            steps = shapes[at].steps;
    if (!steps)
        return 2;
    size = (uint64_t)n;
    mean = strtoull(argv[6], NULL, 10);
    seed = strtoull(argv[7], NULL, 10);
    draw();
    double *y = array(n);
    omp_set_dynamic(0);
#pragma omp parallel num_threads(threads)
    {
        struct stamp *own = &stamps[omp_get_thread_num()];
#pragma omp for schedule(static)
        for (long i = 0; i < n; i++)
            y[i] = 0.5;
        for (int pass = 0; pass < warmup + passes; pass++) {
#pragma omp barrier
            own->begin = now();
#pragma omp for schedule(runtime) nowait
            for (long i = 0; i < n; i++)
                y[i] = chain(hash((uint64_t)i), steps((uint64_t)i));
            own->end = now();
#pragma omp barrier
#pragma omp master
            seconds[pass] = lasted(threads);
        }
    }
    tell(warmup, passes, y[0], y[n - 1]);
}
