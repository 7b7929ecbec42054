/* y = x*x once, from nothing: room for y, its first touch, its first and last value.
 *
 *   end_to_end_omp N THREADS [FILE]     x is the index, or is read from FILE */
#include "passes.h"
#include <fcntl.h>
#include <omp.h>

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    long n = atol(argv[1]);
    int threads = atoi(argv[2]);
    double *restrict y = array(n);
    omp_set_dynamic(0);
    if (argc > 3) {
        int file = open(argv[3], O_RDONLY);
        const double *x = mmap(NULL, (size_t)n * sizeof *x, PROT_READ, MAP_SHARED, file, 0);
        if (x == MAP_FAILED)
            return 1;
#pragma omp parallel for simd schedule(static) num_threads(threads)
        for (long i = 0; i < n; i++)
            y[i] = x[i] * x[i];
    } else {
#pragma omp parallel for simd schedule(static) num_threads(threads)
        for (long i = 0; i < n; i++)
            y[i] = (double)i * (double)i;
    }
    printf("%g %g\n", y[0], y[n - 1]);
}
