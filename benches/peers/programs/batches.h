/* How a small operation is timed: in batches, each long enough for the clock.
 *
 * All threads or ranks call `measure` together. `batch` does the operation `count` times and returns how
 * long that took; `agree` hands everybody what the first one says. The first one prints a line,
 * {"seconds":[...]}: seconds per operation, one number a batch. */
#ifndef BATCHES_H
#define BATCHES_H
#include "clock.h"
#include <stdio.h>

enum { BATCHES = 11 };
static const double LEAST = 0.01; /* seconds a batch lasts at least */

static void measure(int is_first, double (*batch)(long count), int (*agree)(int said)) {
    long count = 1;
    while (!agree(batch(count) >= LEAST))
        count *= 2;
    if (is_first)
        printf("{\"seconds\":[");
    for (int at = 0; at < BATCHES; at++) {
        double passed = batch(count);
        if (is_first)
            printf("%s%.12g", at ? "," : "", passed / (double)count);
    }
    if (is_first)
        printf("]}\n");
}
#endif
