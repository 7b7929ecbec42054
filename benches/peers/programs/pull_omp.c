/* OpenMP's dynamic,1 over a loop of empty bodies: what an index costs, over all threads.   pull_omp THREADS */
#include "batches.h"
#include <omp.h>
#include <stdlib.h>

static double batch(long count) {
#pragma omp barrier
    double begin = now();
#pragma omp for schedule(dynamic, 1)
    for (long index = 0; index < count; index++)
        __asm__ volatile("" : : "r"(index)); /* empty, and not to be left out */
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
