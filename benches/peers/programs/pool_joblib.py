"""Squares by joblib, in batches, as a whole program.

pool_joblib.py PROCESSES COUNT CHUNK
"""

import sys

from joblib import Parallel, delayed


def squares(begin, end):
    return [x * x for x in range(begin, end)]


if __name__ == "__main__":
    processes, count, chunk = (int(word) for word in sys.argv[1:4])
    begins = range(1, count + 1, chunk)
    parts = Parallel(n_jobs=processes)(
        delayed(squares)(begin, min(begin + chunk, count + 1)) for begin in begins
    )
    assert parts[-1][-1] == count * count
