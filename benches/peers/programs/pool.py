"""Squares by multiprocessing.Pool.map, as a whole program.

pool.py PROCESSES COUNT [CHUNK]
"""

import sys
from multiprocessing import Pool


def square(x):
    return x * x


if __name__ == "__main__":
    processes, count = int(sys.argv[1]), int(sys.argv[2])
    chunk = int(sys.argv[3]) if len(sys.argv) > 3 else None
    with Pool(processes) as pool:
        results = pool.map(square, range(1, count + 1), chunk)
    assert results[-1] == count * count
