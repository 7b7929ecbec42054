/* y = x*x once, by processes that share pages, with nothing around it: what pages that processes share cost
 * whoever uses them. Each process asks for its pages in one call a stretch, and fills them while they are warm.
 *
 *   end_to_end_shared N PROCESSES [FILE]     x is the index, or is read from FILE */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STRETCH = 1 << 18 }; /* Numbers: 2 MiB. */

/* The process onto its CPU: the rank-th of those it may use. */
static void pin(int rank) {
    cpu_set_t all, own;
    sched_getaffinity(0, sizeof all, &all);
    CPU_ZERO(&own);
    for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && seen++ == rank)
            CPU_SET(cpu, &own);
    sched_setaffinity(0, sizeof own, &own);
}

static void fill(double *restrict y, const double *restrict x, long begin, long end) {
    for (long first = begin; first < end; first += STRETCH) {
        long last = first + STRETCH < end ? first + STRETCH : end;
        /* From the page that the stretch begins in; without this call each page costs a fault. */
        long page = first * (long)sizeof *y / 4096 * 4096;
        madvise((char *)y + page, (size_t)(last * (long)sizeof *y - page), MADV_POPULATE_WRITE);
        if (x)
            for (long i = first; i < last; i++)
                y[i] = x[i] * x[i];
        else
            for (long i = first; i < last; i++)
                y[i] = (double)i * (double)i;
    }
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    long n = atol(argv[1]);
    int processes = atoi(argv[2]);
    size_t bytes = (size_t)n * sizeof(double);
    int memory = memfd_create("y", MFD_CLOEXEC);
    if (memory < 0 || ftruncate(memory, (off_t)bytes) != 0)
        return 1;
    double *y = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    const double *x = NULL;
    if (argc > 3) {
        int file = open(argv[3], O_RDONLY);
        x = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, 0);
    }
    if (y == MAP_FAILED || x == MAP_FAILED)
        return 1;
    for (int rank = 0; rank < processes; rank++) {
        pid_t child = fork();
        if (child < 0)
            return 1;
        if (child == 0) {
            pin(rank);
            fill(y, x, n * rank / processes, n * (rank + 1) / processes);
            _exit(0);
        }
    }
    for (int status; wait(&status) > 0;)
        if (status != 0)
            return 1;
    printf("%g %g\n", y[0], y[n - 1]);
}
