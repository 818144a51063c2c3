"""sipis and mediator on hosts whose clocks differ.  libfaketime (a package of
Debian) is the host that is wrong: the daemons' own code has no such switch.
None is ahead of the push service, which would refuse its signatures."""

import glob
import os
import signal
import time
import urllib.request

from harness import check, check_equal, poll, skip

SHIFT_S = 30  # far more than a push may take


def other_clock(lab, seconds):
    """The environment of a process whose wall clock is that far off; the file
    sets it anew while it runs."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        skip("libfaketime is not installed")
    path = os.path.join(lab.folder, "clock")
    set_clock(path, seconds)
    return path, {"LD_PRELOAD": found[0], "FAKETIME_TIMESTAMP_FILE": path,
                  "FAKETIME_NO_CACHE": "1",
                  "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                  "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") +
                  ":verify_asan_link_order=0"}


def set_clock(path, seconds):
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(f"{seconds:+}\n")
    os.rename(path + ".new", path)


def site(lab, wrong, seconds):
    """wrong: "mediator" or "sipis"."""
    path, env = other_clock(lab, seconds)
    # a certificate of this minute is not yet valid where it is earlier
    made = os.stat(f"{lab.certs}/mediator.pem").st_mtime
    poll(lambda: time.time() + seconds > made, 40, "age of the certificates")
    lab.kamailio()
    lab.fake_pns()
    parts = {"mediator": lab.add_mediator(start=False),
             "sipis": lab.add_sipis(start=False)}
    parts[wrong].env = env
    for part in parts.values():
        part.start()
    return path


def offset_ms(lab):
    with urllib.request.urlopen(
            f"http://127.0.0.1:{lab.sipis.admin_port}/metrics") as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("sipis_mediator_clock_offset_ms "):
                return int(line.split()[1])
    return None


def one_call(lab, phone):
    caller = lab.caller(HOLD_MS=300)
    check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
    (outcome,) = caller.results().values()
    check("200" in outcome, f"the caller was answered: {outcome}")
    phone.wait_step("ended")


def in_order(lab):
    """What the mediator says of its times fits into the timeline."""
    events = lab.sipis.call(lab.newest_call())["events"]
    at = {f"{e['who']} {e['what']}": e["at_us"] for e in events}
    invite, received = at["pbx INVITE"], at["mediator received"]
    check(-1e6 < received - invite < 10e6,
          f"INVITE to the mediator: {received - invite} us, {events}")


def wrong_clock(lab, wrong, offset_s):
    site(lab, wrong, -SHIFT_S)
    phone = lab.phone()
    lab.wait_registered()
    lab.sipis.wait_log("check NTP on both")
    check(abs(offset_ms(lab) - 1000 * offset_s) < 1000,
          f"offset: {offset_ms(lab)} ms")
    one_call(lab, phone)
    in_order(lab)
    (push,) = lab.fake.requests(use="call")
    check_equal(push["status"], 200, "the push service's answer")


def test_mediator_is_ahead(lab):
    """It would hold every push for one that comes too late."""
    wrong_clock(lab, "sipis", SHIFT_S)


def test_mediator_is_behind(lab):
    wrong_clock(lab, "mediator", -SHIFT_S)


def test_behind_and_frozen(lab):
    """A push that lay unread is too late all the same: its clock says there
    is half a minute left."""
    site(lab, "mediator", -SHIFT_S)
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    os.kill(lab.mediator.pid, signal.SIGSTOP)
    lab.caller("caller.xml")
    call = lab.newest_call()
    poll(lambda: lab.sipis.call(call).get("ended") == "missed", 10,
         "end of the call")
    os.kill(lab.mediator.pid, signal.SIGCONT)
    poll(lambda: lab.fake.requests(call=call, use="ended"), 5, "ended push")
    check_equal(lab.fake.requests(call=call, use="call"), [],
                "pushes for a dead call")


def test_set_while_connected(lab):
    """Somebody sets the clock of a mediator that is connected."""
    path = site(lab, "mediator", 0)
    phone = lab.phone()
    lab.wait_registered()
    check_equal(offset_ms(lab), 0, "offset")
    set_clock(path, -SHIFT_S)
    lab.sipis.wait_log("check NTP on both")
    one_call(lab, phone)
    set_clock(path, 0)
    lab.sipis.wait_log("is with ours again")
    check_equal(offset_ms(lab), 0, "offset")
