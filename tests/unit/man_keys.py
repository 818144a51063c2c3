#!/usr/bin/python3
"""Every key of the schema tables stands in the manual page of the file, with
the range and default of the number tables; and no others do.

  man_keys.py TOP"""

import os
import re
import sys

# Table of the source, section of the page
SECTIONS = {
    "sipis": {"top": "The whole file", "api": "api", "admin": "admin",
              "mediator": "mediator", "edge": "edge",
              "edge_push": "edge.push[]", "pbx": "pbx[]",
              "media": "pbx[].media"},
    "mediator": {"top": "The whole file", "server": "server", "admin": "admin",
                 "queue": "queue", "limits": "limits", "tenant": "tenants[]",
                 "app": "apps[]", "app_apns": "apps[].apns",
                 "app_fcm": "apps[].fcm",
                 "app_webpush": "apps[].webpush", "credential": "credentials[]",
                 "apns": "credentials[].apns", "fcm": "credentials[].fcm",
                 "webpush": "credentials[].webpush",
                 "link": "credentials[].apns.link, credentials[].fcm.link "
                         "and credentials[].webpush.link"},
}
# Number tables, where they are not called like the section's
NUMBERS = {"med": ("mediator", ""), "apns": ("link", "apns: "),
           "fcm": ("link", "fcm: "), "webpush": ("link", "webpush: ")}


def tables(text, kind):
    return re.findall(kind + r"(\w+)\[\] = \{\n(.*?)\n\};", text, re.S)


def keys_of(table):
    """First word of each entry: a literal, or the member's name."""
    entries = re.findall(
        r'^\t(?!CYAML_FIELD_END)\w+\(\s*(?:"(\w+)"|struct \w+,\s*(\w+))',
        table, re.M)
    return [a or b for a, b in entries]


def sections_of(page):
    """{section: {key: text}}."""
    found = {}
    for part in re.split(r"^\.Ss ", page, flags=re.M)[1:]:
        name, _, rest = part.partition("\n")
        rest = rest.split("\n.Sh ")[0]
        found[name] = dict(re.findall(
            r"^\.It Va (\w+)\n(.*?)(?=^\.It |^\.El)", rest, re.M | re.S))
    return found


def faults(top, daemon):
    with open(f"{top}/{daemon}/cfg.c", encoding="utf-8") as file:
        source = file.read()
    with open(f"{top}/docs/man/{daemon}.yaml.5", encoding="utf-8") as file:
        page = sections_of(file.read())
    names = SECTIONS[daemon]
    fields = {name.removesuffix("_fields"): keys_of(table) for name, table
              in tables(source, "cyaml_schema_field_t ")}
    if set(fields) != set(names):
        yield f"{daemon}/cfg.c: tables {sorted(fields)}"
    for table, keys in fields.items():
        there = set(page.get(names.get(table), {}))
        inner = {k for k in keys if k in page or f"{k}[]" in page}
        for key in set(keys) - there - (inner if table == "top" else set()):
            yield f"{daemon}.yaml.5: {table}: {key} is missing"
        for key in there - set(keys):
            yield f"{daemon}.yaml.5: {table}: {key} is no key"
    for name, table in tables(source, "struct cfgnum "):
        section, head = NUMBERS.get(name.removesuffix("_numbers"), (
            name.removesuffix("_numbers"), ""))
        for key, default, least, most in re.findall(
                r"CFGNUM\(struct \w+, (\w+), (\d+), (\d+),\s*(\d+)\)", table):
            want = f"{head}{least} to {most}; default {default}."
            said = page.get(names[section], {}).get(key, "")
            if want not in said.splitlines():
                yield f"{daemon}.yaml.5: {section}: {key}: not \"{want}\""


def main(top):
    found = [f for daemon in SECTIONS for f in faults(os.path.abspath(top),
                                                      daemon)]
    print("\n".join(found) or "ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
