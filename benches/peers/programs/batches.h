/* How a small operation is timed: in batches, each long enough for the clock.
 *
 * All threads or ranks call `measure` together. `batch` waits for the others, does the operation `count` times
 * and says when it began and ended; `span` makes of what all say the time from the first begin to the last
 * end, and tells it to all. The first one prints a line, {"seconds":[...]}: seconds per operation, one number
 * a batch. */
#ifndef BATCHES_H
#define BATCHES_H
#include "stamps.h"
#include <stdio.h>

enum { BATCHES = 11 };
static const double LEAST = 0.01; /* seconds a batch lasts at least */

static void measure(int is_first, struct stamp (*batch)(long count), double (*span)(const struct stamp *own)) {
    long count = 1;
    struct stamp own = batch(count);
    while (span(&own) < LEAST)
        own = batch(count *= 2);
    if (is_first)
        printf("{\"seconds\":[");
    for (int at = 0; at < BATCHES; at++) {
        own = batch(count);
        double passed = span(&own);
        if (is_first)
            printf("%s%.12g", at ? "," : "", passed / (double)count);
    }
    if (is_first)
        printf("]}\n");
}
#endif
