"""A call that is over rings no phone: what a mediator still holds stays there,
and the timeline says so."""

import os
import signal

from harness import check, check_equal, poll
from sip import Caller

ONE_A_SECOND = {"rate": 1, "burst": 1, "depth": 100}


def end_of(lab, call, wanted):
    poll(lambda: lab.sipis.call(call).get("ended") == wanted, 10,
         f'end "{wanted}" of {call}')


def lines(lab, call, what):
    return [e for e in lab.sipis.call(call)["events"] if e["what"] == what]


def refusal(lab, call):
    (line,) = poll(lambda: lines(lab, call, "refused"), 10,
                   "the mediator's word in the timeline")
    check_equal(line["who"], "mediator", "who refused")
    check("expired" in line["detail"], f"too late: {line}")
    return line


def test_frozen_mediator(lab):
    """It holds the push until the caller has his 480: its word comes
    late, and is kept all the same."""
    lab.kamailio()
    lab.daemons()
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    os.kill(lab.mediator.popen.pid, signal.SIGSTOP)
    lab.caller("caller.xml")
    call = lab.newest_call()
    end_of(lab, call, "missed")
    os.kill(lab.mediator.popen.pid, signal.SIGCONT)
    line = refusal(lab, call)
    (end,) = lines(lab, call, "ended")
    (failed,) = lines(lab, call, "push failed")
    check("timed out" in failed["detail"].lower(), f"{failed}")
    check(end["at_us"] < line["at_us"], f"{line} after {end}")
    poll(lambda: lab.fake.requests(call=call, use="ended"), 5, "ended push")
    check_equal(lab.fake.requests(call=call, use="call"), [],
                "pushes for a dead call")


def test_cancel_while_it_waits(lab):
    """The tenant is over its rate and the caller hangs up."""
    lab.kamailio()
    lab.fake_pns()
    lab.add_mediator(over={"tenants": [{"name": "demo", "apps": ["demo"],
                                        "limits": ONE_A_SECOND}]})
    lab.add_sipis()
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    # each of them takes a second of those that come later
    callers = [Caller(("127.0.0.1", 5060)).invite() for _ in range(6)]
    lab.sipis.wait_log("sipis push sent", count=len(callers))
    last = callers.pop()
    check(last.hang_up() in (480, 487), f"his end: {last.finals}")
    call = lab.sipis.call(last.call_id)["call"]
    end_of(lab, call, "cancelled")
    refusal(lab, call)
    for caller in callers:
        caller.hang_up()
    poll(lambda: lab.fake.requests(call=call, use="ended"), 20, "ended push")
    check_equal(lab.fake.requests(call=call, use="call"), [],
                "pushes for a dead call")
