/* When each thread began and ended, and what lies between the first begin and the last end. */
#ifndef STAMPS_H
#define STAMPS_H
#include "clock.h"

enum { MOST_THREADS = 1024 };

/* What one thread saw; in lines of its own. */
struct stamp {
    _Alignas(128) double begin;
    double end;
};

static struct stamp stamps[MOST_THREADS];

static inline double lasted(int threads) {
    double begin = stamps[0].begin, end = stamps[0].end;
    for (int at = 1; at < threads; at++) {
        begin = stamps[at].begin < begin ? stamps[at].begin : begin;
        end = stamps[at].end > end ? stamps[at].end : end;
    }
    return end - begin;
}
#endif
