#!/usr/bin/python3
"""Each bench prints the keys that docs/BENCHMARKS.md names for it, in that
order and no others; what else it knows stands before them as notes.

  bench_keys.py TOP"""

import ast
import contextlib
import io
import os
import re
import sys


def keys_of(path):
    """The tuple KEYS of a bench."""
    with open(path, encoding="utf-8") as file:
        for node in ast.parse(file.read()).body:
            if isinstance(node, ast.Assign) and node.targets[0].id == "KEYS":
                return ast.literal_eval(node.value)
    sys.exit(f"{path}: no KEYS")


def promised(top):
    """Bench -> keys, as the page has them."""
    with open(f"{top}/docs/BENCHMARKS.md", encoding="utf-8") as file:
        page = file.read()
    return {name: tuple(re.split(r",\s+", keys)) for name, keys in re.findall(
        r"^## (\S+)\n\n(?:.*?)^Prints `([^`]+)`", page, re.S | re.M)}


def printed(top, keys, values):
    """Lines of a report of these values, and its exit code."""
    sys.path.insert(0, f"{top}/scripts/bench.d")
    from libbench import report
    out = report.Report(keys)
    for key, value in values:
        out.put(key, value)
    out.ratio("ratio_b", "b", "peer_b")
    seen, code = io.StringIO(), 0
    with contextlib.redirect_stdout(seen):
        try:
            out.finish()
        except SystemExit as end:
            code = end.code
    return seen.getvalue().splitlines(), code


def main(top):
    folder = f"{top}/scripts/bench.d"
    benches = {name: keys_of(f"{folder}/{name}") for name in os.listdir(folder)
               if os.path.isfile(f"{folder}/{name}")}
    assert benches == promised(top), f"{benches}\nis not\n{promised(top)}"

    keys = ("b", "a", "peer_b", "ratio_b")
    lines, code = printed(top, keys, [("more", 7), ("a", 1), ("peer_b", 4),
                                      ("b", 2)])
    assert lines == ["# more: 7", "b: 2", "a: 1", "peer_b: 4",
                     "ratio_b: 0.500"], lines
    assert code == 0, code
    lines, _ = printed(top, keys, [("a", 1), ("b", 2)])
    assert lines == ["# not measured: peer_b, ratio_b", "b: 2", "a: 1"], lines


if __name__ == "__main__":
    main(sys.argv[1])
