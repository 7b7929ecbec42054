/* y = y*y, OpenMP static; before each pass, untimed, the array is made what it was.
 *
 *   square_in_place_omp N THREADS WARMUP PASSES */
#include "passes.h"
#include <omp.h>

int main(int argc, char **argv) {
    if (argc < 5)
        return 2;
    long n = atol(argv[1]);
    int threads = atoi(argv[2]), warmup = atoi(argv[3]), passes = atoi(argv[4]);
    double *restrict x = array(n), *restrict y = array(n);
    omp_set_dynamic(0);
#pragma omp parallel num_threads(threads)
    {
        struct stamp *own = &stamps[omp_get_thread_num()];
#pragma omp for schedule(static)
        for (long i = 0; i < n; i++) {
            x[i] = (double)i + 0.5;
            y[i] = 0.5;
        }
        for (int pass = 0; pass < warmup + passes; pass++) {
#pragma omp for schedule(static)
            for (long i = 0; i < n; i++)
                y[i] = x[i];
            own->begin = now();
#pragma omp for simd schedule(static) nowait
            for (long i = 0; i < n; i++)
                y[i] = y[i] * y[i];
            own->end = now();
#pragma omp barrier
#pragma omp master
            seconds[pass] = lasted(threads);
        }
    }
    tell(warmup, passes, y[0], y[n - 1]);
}
