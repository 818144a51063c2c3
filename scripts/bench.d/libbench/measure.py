"""CPU and memory of running programs."""

import os
import statistics
import subprocess
import time

from libbench import place


def children(pid):
    """pid and all its descendants."""
    found = [pid]
    for one in found:
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/children",
                          encoding="ascii") as file:
                    found += [int(p) for p in file.read().split()]
        except OSError:
            continue
    return found


def cpu_s(pids):
    """utime + stime of whole processes, to the nanosecond: the CPU clock of
    a process (clock_getcpuclockid) counts threads that have ended too."""
    total = 0.0
    for pid in pids:
        try:
            total += time.clock_gettime((~pid << 3) | 2)
        except OSError:
            continue
    return total


def rollup(pid, field):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def pss(pids):
    """Proportional set size in bytes; shared memory counts once."""
    return sum(rollup(pid, "Pss") for pid in pids)


def rss(pids):
    return sum(rollup(pid, "Rss") for pid in pids)


def median(values):
    return statistics.median(values)


def percentile(values, share):
    """Nearest rank; values need not be sorted."""
    ordered = sorted(values)
    rank = max(0, min(len(ordered) - 1, -(-share * len(ordered) // 100) - 1))
    return ordered[int(rank)]


def evenness(seconds=4):
    """How even the machine is just now, in words (tests/bench/stalls.c)."""
    share, slowest = subprocess.run(
        [place.program("tests", "bench", "bench-stalls"), str(seconds)],
        capture_output=True, text=True, check=True).stdout.split()
    return (f"the machine, before this: {share} % of 20 ms slices at less "
            f"than half of its usual speed, the slowest at {slowest}")
