"""What the operator asks afterwards: sipisctl and the log."""

import os
import sqlite3
import subprocess

from harness import check, check_equal, poll
from stack.daemons import binary

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
