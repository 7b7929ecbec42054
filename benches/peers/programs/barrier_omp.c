/* OpenMP's barrier.   barrier_omp THREADS */
#include "batches.h"
#include <omp.h>
#include <stdlib.h>

static double batch(long count) {
#pragma omp barrier
    double begin = now();
    for (long at = 0; at < count; at++) {
#pragma omp barrier
    }
    return now() - begin;
}

static int agreed;

static int agree(int said) {
#pragma omp barrier
#pragma omp master
    agreed = said;
#pragma omp barrier
    return agreed;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 2;
    omp_set_dynamic(0);
#pragma omp parallel num_threads(threads)
    measure(omp_get_thread_num() == 0, batch, agree);
}
