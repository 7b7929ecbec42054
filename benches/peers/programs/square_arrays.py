"""y = x*x out of place, over whole arrays.

square_arrays.py numpy|numexpr COUNT THREADS WARMUP PASSES
"""

import json
import sys
import time

import numpy

name = sys.argv[1]
count, threads, warmup, passes = (int(word) for word in sys.argv[2:6])
x = numpy.arange(count, dtype=numpy.float64)
x += 0.5
y = numpy.full(count, 0.5)

if name == "numexpr":
    import numexpr

    numexpr.set_num_threads(threads)

    def once():
        numexpr.evaluate("x * x", out=y)

else:

    def once():
        numpy.multiply(x, x, out=y)


seconds = []
for _ in range(warmup + passes):
    begin = time.perf_counter()
    once()
    seconds.append(time.perf_counter() - begin)
print(json.dumps({"seconds": seconds[warmup:], "first": y[0], "last": y[-1]}))
