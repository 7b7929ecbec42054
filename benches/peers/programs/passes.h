/* How a pass over an array is timed: from the first begin to the last end of all threads or ranks.
 *
 * That is how spmd times its own. A line, {"seconds":[...],"first":...,"last":...}, tells the passes and the
 * first and last result, by which the bench sees that everybody did the same work. */
#ifndef PASSES_H
#define PASSES_H
#include "clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MOST_PASSES = 1000, MOST_THREADS = 1024, HUGE_PAGE = 2 << 20 };

/* What one thread saw of a pass; in lines of its own. */
struct stamp {
    _Alignas(128) double begin;
    double end;
};

static struct stamp stamps[MOST_THREADS];
static double seconds[MOST_PASSES];

static inline double lasted(int threads) {
    double begin = stamps[0].begin, end = stamps[0].end;
    for (int at = 1; at < threads; at++) {
        begin = stamps[at].begin < begin ? stamps[at].begin : begin;
        end = stamps[at].end > end ? stamps[at].end : end;
    }
    return end - begin;
}

/* Room for n numbers; BENCH_PAGES=huge in the environment asks for huge pages. */
static inline double *array(long n) {
    size_t bytes = ((size_t)n * sizeof(double) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    double *room = aligned_alloc(HUGE_PAGE, bytes);
    const char *pages = getenv("BENCH_PAGES");
    if (!room) {
        fprintf(stderr, "no memory for %ld numbers\n", n);
        exit(1);
    }
    if (pages && !strcmp(pages, "huge"))
        madvise(room, bytes, MADV_HUGEPAGE);
    return room;
}

static inline void tell(int warmup, int passes, double first, double last) {
    printf("{\"seconds\":[");
    for (int at = 0; at < passes; at++)
        printf("%s%.12g", at ? "," : "", seconds[warmup + at]);
    printf("],\"first\":%.17g,\"last\":%.17g}\n", first, last);
}
#endif
