/* The barrier of the C library, between pinned threads.   barrier_pthread THREADS */
#define _GNU_SOURCE
#include "batches.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static pthread_barrier_t barrier;
static __thread int me;
static int threads, agreed;

static double batch(long count) {
    pthread_barrier_wait(&barrier);
    double begin = now();
    for (long at = 0; at < count; at++)
        pthread_barrier_wait(&barrier);
    return now() - begin;
}

static int agree(int said) {
    pthread_barrier_wait(&barrier);
    if (me == 0)
        agreed = said;
    pthread_barrier_wait(&barrier);
    return agreed;
}

/* One thread a CPU, while there are as many; more threads than CPUs run where they like. */
static void pin(void) {
    cpu_set_t allowed, own;
    sched_getaffinity(0, sizeof allowed, &allowed);
    if (threads > CPU_COUNT(&allowed))
        return;
    int left = me, cpu = 0;
    while (!CPU_ISSET(cpu, &allowed) || left-- > 0)
        cpu++;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    pthread_setaffinity_np(pthread_self(), sizeof own, &own);
}

static void *life(void *number) {
    me = (int)(long)number;
    /* All look at the process's CPUs before the first one changes its own. */
    pthread_barrier_wait(&barrier);
    pin();
    measure(me == 0, batch, agree);
    return NULL;
}

int main(int argc, char **argv) {
    threads = argc > 1 ? atoi(argv[1]) : 2;
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    pthread_t handles[threads];
    for (long at = 0; at < threads; at++)
        pthread_create(&handles[at], NULL, life, (void *)at);
    for (int at = 0; at < threads; at++)
        pthread_join(handles[at], NULL);
}
