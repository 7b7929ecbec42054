/* OpenMP's barrier.   barrier_omp THREADS */
#include "batches.h"
#include <omp.h>
#include <stdlib.h>

static struct stamp batch(long count) {
#pragma omp barrier
    struct stamp own = {.begin = now()};
    for (long at = 0; at < count; at++) {
#pragma omp barrier
    }
    own.end = now();
    return own;
}

static double span(const struct stamp *own) {
    stamps[omp_get_thread_num()] = *own;
#pragma omp barrier
    double passed = lasted(omp_get_num_threads());
#pragma omp barrier
    return passed;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 2;
    omp_set_dynamic(0);
#pragma omp parallel num_threads(threads)
    measure(omp_get_thread_num() == 0, batch, span);
}
