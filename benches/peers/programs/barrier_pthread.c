/* The barrier of the C library, between pinned threads.   barrier_pthread THREADS */
#define _GNU_SOURCE
#include "batches.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static pthread_barrier_t barrier;
static __thread int me;
static int threads;

static struct stamp batch(long count) {
    pthread_barrier_wait(&barrier);
    struct stamp own = {.begin = now()};
    for (long at = 0; at < count; at++)
        pthread_barrier_wait(&barrier);
    own.end = now();
    return own;
}

static double span(const struct stamp *own) {
    stamps[me] = *own;
    pthread_barrier_wait(&barrier);
    double passed = lasted(threads);
    pthread_barrier_wait(&barrier);
    return passed;
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
    pin();
    measure(me == 0, batch, span);
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
