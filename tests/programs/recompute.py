"""Computes the figures of a scaling study once more, from its samples alone, and compares them.

    python3 recompute.py DIR DOCUMENT.json

DIR has `samples.jsonl` and `summary.csv`; DOCUMENT is what `spmd scale --json` printed. Nothing is shared with the
program: medians are numpy's, ranks of order statistics are summed from the binomial distribution.
"""
import csv
import json
import math
import sys

import numpy as np


def standing(path):
    """The samples that count: of each number of ranks and repeat the latest attempt."""
    latest = {}
    for line in open(path, encoding="utf-8"):
        sample = json.loads(line)
        if not sample["warmup"] and sample["status"] == "ok":
            name = (sample["procs"], sample["repeat"])
            if name not in latest or latest[name]["attempt"] < sample["attempt"]:
                latest[name] = sample
    points = {}
    for (procs, _), sample in sorted(latest.items()):
        points.setdefault(procs, []).append(sample)
    return points


def interval(times):
    """The narrowest symmetric pair of order statistics that holds the median with 95 %; None below six."""
    n, ordered, low = len(times), sorted(times), 0
    below = lambda rank: sum(math.comb(n, k) for k in range(rank)) / 2**n
    while below(low + 1) <= 0.025:
        low += 1
    return [ordered[low - 1], ordered[n - low]] if low else None


def near(name, found, expected):
    assert math.isclose(found, expected, rel_tol=1e-9), f"{name}: {found}, and from the samples {expected}"


directory, document = sys.argv[1:]
found = json.load(open(document, encoding="utf-8"))
points = standing(f"{directory}/samples.jsonl")
times = {p: np.array([s["time"]["pass_s"]["median"] for s in samples]) for p, samples in points.items()}
base, size = np.median(times[1]), points[1][0]["size"]
assert [point["procs"] for point in found["points"]] == sorted(times)
for point in found["points"]:
    procs, n = point["procs"], len(times[point["procs"]])
    assert point["n"] == n, (point["n"], n)
    middle = np.median(times[procs])
    near("time", point["time_s"]["value"], middle)
    for end, other in zip(point["time_s"]["ci95"], interval(times[procs].tolist())):
        near("interval", end, other)
    speedup = points[procs][0]["size"] / size * base / middle
    near("speedup", point["speedup"]["value"], speedup)
    near("efficiency", point["efficiency"]["value"], speedup / procs)
    near("imbalance", point["imbalance"], np.median([s["imbalance"] for s in points[procs]]))
for share in found["models"]["karp_flatt"]:
    p, s = share["procs"], base / np.median(times[share["procs"]])
    near("Karp-Flatt", share["value"], (1 / s - 1 / p) / (1 - 1 / p))
lines = [line for line in open(f"{directory}/summary.csv", encoding="utf-8") if not line.startswith("#")]
rows = {int(row["procs"]): row for row in csv.DictReader(lines)}
assert sorted(rows) == sorted(times), rows
for procs, row in rows.items():
    near("time of the table", float(row["time_s"]), np.median(times[procs]))
print(f"6 figures of {len(times)} points agree")
