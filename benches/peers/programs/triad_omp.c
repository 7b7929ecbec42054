/* a = b + s*c, OpenMP static: McCalpin's triad, from its formula.   triad_omp N THREADS WARMUP PASSES
 *
 * The arrays hold what those of spmd's kernel `triad` hold: see kernels/stream.rs.
 * With -DSTREAMING results go past the caches, where the compiler knows how. */
#include "passes.h"
#include <omp.h>

#ifdef STREAMING
#define STORES nontemporal(a)
#else
#define STORES
#endif

int main(int argc, char **argv) {
    if (argc < 5)
        return 2;
    long n = atol(argv[1]);
    int threads = atoi(argv[2]), warmup = atoi(argv[3]), passes = atoi(argv[4]);
    double *restrict a = array(n), *restrict b = array(n), *restrict c = array(n);
    const double s = 3.0;
    omp_set_dynamic(0);
#pragma omp parallel num_threads(threads)
    {
        struct stamp *own = &stamps[omp_get_thread_num()];
#pragma omp for schedule(static)
        for (long i = 0; i < n; i++) {
            a[i] = 0.5;
            b[i] = (double)(1 + i % 1021);
            c[i] = (double)(1 + i % 1031);
        }
        for (int pass = 0; pass < warmup + passes; pass++) {
#pragma omp barrier
            own->begin = now();
#pragma omp for simd schedule(static) nowait STORES
            for (long i = 0; i < n; i++)
                a[i] = b[i] + s * c[i];
            own->end = now();
#pragma omp barrier
#pragma omp master
            seconds[pass] = lasted(threads);
        }
    }
    tell(warmup, passes, a[0], a[n - 1]);
}
