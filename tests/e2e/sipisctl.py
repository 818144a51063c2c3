"""What the operator asks afterwards: sipisctl and the log."""

import json
import os
import sqlite3
import subprocess

from harness import check, check_equal, poll
from stack.config import yaml_text
from stack.daemons import binary, merge

EX_DATAERR = 65


def ask(lab, *args):
    """sipisctl as a person uses it: exit code, answer, complaint."""
    out = subprocess.run(
        [binary(lab.build, "sipis", "sipisctl"), "-c", lab.sipis.config_path,
         *args],
        capture_output=True, text=True, timeout=20, check=False)
    return out.returncode, out.stdout, out.stderr


def missed(lab, **more):
    """A call that no phone came for."""
    lab.kamailio()
    lab.daemons(pbx={"wake_timeout_s": 1}, **more)
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    lab.caller()
    call = lab.newest_call()
    poll(lambda: lab.sipis.call(call).get("ended"), 10, "end of the call")
    return call


def test_monday(lab):
    """Why did it not ring on Saturday?"""
    call = missed(lab)
    check_equal(lab.sipis.stop(), 0, "exit code")
    path = os.path.join(lab.sipis.config["state_dir"], "sipis-calls.db")
    with sqlite3.connect(path) as base:
        base.execute("UPDATE call SET received_ms = received_ms - 172800000")
    base.close()
    lab.sipis.start()
    lab.caller()
    poll(lambda: len(lab.sipis.calls()) == 2, 10, "second call")
    check("missed" in ask(lab, "call", call)[1], "the timeline is there")
    for account in ("100", "100@demo.test", "sip:100@demo.test"):
        code, text, _ = ask(lab, "calls", account)
        check_equal((code, len(text.splitlines())), (0, 2), account)
    code, text, _ = ask(lab, "--max", "1", "calls", "100")
    check_equal((code, len(text.splitlines())), (0, 1), "--max 1")
    for account in ("10", "101", "100@other.test"):
        code, text, why = ask(lab, "calls", account)
        check_equal((code, text), (EX_DATAERR, ""), account)
        check(account in why, why)


def test_keep_days(lab):
    """Older than that: gone."""
    call = missed(lab, over={"keep_days": 1})
    check_equal(lab.sipis.stop(), 0, "exit code")
    path = os.path.join(lab.sipis.config["state_dir"], "sipis-calls.db")
    with sqlite3.connect(path) as base:
        base.execute("UPDATE call SET received_ms = received_ms - 172800000")
    base.close()
    lab.sipis.start()
    poll(lambda: lab.sipis.call(call) is None, 10, "end of the timeline")


def test_says_so(lab):
    """Silence is no answer; and who asks need not be able to be sipis."""
    lab.fake_pns()
    lab.add_mediator()
    lab.add_sipis()
    for key in ("key_file", "api", "mediator"):
        out = without(lab, key)
        check_equal(out[0], 0, f"exit without {key}: {out[2]}")
        check("no account" in out[2], f"nobody is there: {out[2]}")
    links(lab)
    code, text, why = ask(lab, "status", "nobody")
    check_equal((code, text), (EX_DATAERR, ""), "exit of status nobody")
    check("nobody" in why, why)
    for args in (("--max", "0", "calls"), ("--max", "1001", "calls"),
                 ("-n", "1x", "calls")):
        check_equal(ask(lab, *args)[0], 64, f"exit of {args}")


def links(lab):
    """The mediators stand first: up, and what ended it if not."""
    where = "mediator 127.0.0.1:24998"
    poll(lambda: f"{where}           up " in ask(lab, "status")[1], 10,
         "a mediator that is up")
    check("clock +0 ms" in ask(lab, "status")[1], "its clock")
    lab.mediator.kill()
    text = poll(lambda: next((t for t in [ask(lab, "status")[1]]
                              if " down " in t), None), 10, "one that is down")
    check("last error 20" in text, text)
    _, text, _ = ask(lab, "--json", "status")
    (link,) = json.loads(text)["mediators"]
    check(not link["up"] and link["since"] <= link["error_at"], text)


def without(lab, part):
    """Asked with a configuration whose keys are not to be had."""
    path = os.path.join(lab.sipis.folder, "other.yaml")
    config = merge(lab.sipis.config, {part: {"key": "/nonexistent"}}
                   if part != "key_file" else {part: "/nonexistent"})
    with open(path, "w", encoding="utf-8") as file:
        file.write(yaml_text(config))
    return ask(lab, "-c", path, "status")
