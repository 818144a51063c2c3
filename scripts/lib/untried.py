"""scripts/lib/untried.py RESULTS.XML

What this machine could not try, and why: the lines with SKIP of tests that
ran, and every test that did not.  Nothing if all were tried.
"""

import re
import sys
import xml.etree.ElementTree as ET


def untried(path):
    for case in ET.parse(path).getroot().iter("testcase"):
        said = case.findtext("system-out") or ""
        reasons = re.findall(r"^.*\bSKIP(?:PED)?\b.*$", said, re.M)
        if not reasons and case.get("status") not in ("run", "fail"):
            reasons = ["did not run"]
        for reason in reasons:
            yield case.get("name"), reason.strip()


def main():
    found = list(untried(sys.argv[1]))
    if found:
        print(f"\nNOT TRIED on this machine: {len(found)}")
    for name, reason in found:
        print(f"    {name}: {reason}")


if __name__ == "__main__":
    main()
