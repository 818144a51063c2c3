"""The results of tests/e2e/clients.py as the table of docs/CLIENTS.md.

    python3 table.py FOLDER CLIENTS.md

FOLDER holds a JSON file of each client and transport."""

import json
import os
import sys

BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
WORDS = {
    "register": "registers, with the account's password",
    "incoming": "takes a call; the other side hangs up",
    "outgoing": "calls; hangs up",
    "hold": "holds and resumes; is held and resumed",
    "transfer": "transfers the other side, blind",
    "transferred": "is transferred",
    "attended": "transfers after asking (REFER with Replaces)",
    "attended_to": "is transferred to after asking (INVITE with Replaces)",
    "refresh": "the other side refreshes the session (RFC 4028)",
    "own_refresh": "refreshes the session itself",
    "srtp": "SRTP; the SDP arrives byte for byte, both ways",
    "network": "loses its network in a call, and is back",
    "address": "comes back with another address, is called there",
    "restart": "sipis is killed in a call and started: the call lives",
    "suspended": "stopped; woken when the push comes (pn-* set by hand)",
    "offline": "cut off; back when the push comes (pn-* set by hand)",
}
LACKS = {("baresip", "attended"), ("baresip", "attended_to"),
         ("baresip", "own_refresh")}


def read(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                for row in json.load(file):
                    key = (row["client"], row["transport"])
                    found.setdefault(key, {})[row["scenario"]] = row["failed"]
    return found


def table(found):
    columns = sorted(found)
    lines = ["| scenario | " + " | ".join(f"{c} {t.upper()}"
                                          for c, t in columns) + " |",
             "|---" * (len(columns) + 1) + "|"]
    for scenario, words in WORDS.items():
        cells = []
        for column in columns:
            failed = found[column].get(scenario)
            if (column[0], scenario) in LACKS:
                cells.append("it cannot")
            else:
                cells.append("not tried" if failed is None
                             else "**fail**" if failed else "pass")
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    failures = [f"* {c} {t.upper()}, {scenario}: {why}"
                for (c, t), rows in sorted(found.items())
                for scenario, why in rows.items() if why]
    return "\n".join(lines + ([""] + failures if failures else [])) + "\n"


def main(folder, path):
    text = table(read(folder))
    print(text, end="")
    with open(path, encoding="utf-8") as file:
        head, rest = file.read().split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{BEGIN}\n{text}\n{END}{tail}")


if __name__ == "__main__":
    main(*sys.argv[1:])
