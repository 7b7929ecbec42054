/* How a pass over an array is timed: from the first begin to the last end of all threads or ranks.
 *
 * That is how spmd times its own. A line, {"seconds":[...],"first":...,"last":...}, tells the passes and the
 * first and last result, by which the bench sees that everybody did the same work. */
#ifndef PASSES_H
#define PASSES_H
#include "stamps.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MOST_PASSES = 1000, HUGE_PAGE = 2 << 20 };

static double seconds[MOST_PASSES];

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
