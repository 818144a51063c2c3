"""Two mediators; one dies in the middle of the calls."""

import json
import os
import urllib.parse
import urllib.request

from harness import check, check_equal, poll

CALLS = 200


def test_kill_one(lab):
    lab.kamailio()
    lab.fake_pns()
    first = lab.add_mediator()
    second = lab.add_mediator(name="mediator2", port=24999,
                              admin_port=24991)
    lab.add_sipis(mediators=("127.0.0.1:24998", "127.0.0.1:24999"),
                  pbx={"wake_timeout_s": 2})
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    caller = lab.caller(calls=CALLS, rate=40)
    poll(lambda: len(lab.fake.requests(use="call")) > CALLS // 4, 20,
         "first quarter of the pushes")
    first.kill()
    check_equal(caller.wait(60), 0, f"sipp's exit\n{caller.tail()}")
    check_equal(len(caller.results()), CALLS, "calls")
    ids = {call_of(lab, callid) for callid in caller.results()}
    pushed = {p["call"] for p in lab.fake.requests(use="call", status=200)}
    check_equal(len(ids), CALLS, "calls of the caller, as sipis knows them")
    check_equal(ids - pushed, set(), "calls without a push")
    check_equal(pushed - ids, set(), "pushes that nobody called for")
    late = [p for p in lab.fake.requests(use="call") if p["late"]]
    check_equal(late, [], "late pushes")
    check(second.running(), "the second mediator lives")


def call_of(lab, callid):
    """The id of the call that the caller knows by its Call-ID."""
    with urllib.request.urlopen(
            f"http://127.0.0.1:{lab.sipis.admin_port}/admin/calls/"
            f"{urllib.parse.quote(callid)}") as answer:
        return json.load(answer)["call"]


def test_both_away_and_back(lab):
    """A mediator that comes back is used again by itself."""
    lab.kamailio()
    lab.daemons(pbx={"wake_timeout_s": 2})
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    lab.mediator.kill()
    caller = lab.caller()
    check_equal(caller.wait(15), 0, "sipp's exit")
    lab.mediator.start()
    poll(lambda: pushed_again(lab), 15, "push over the mediator that is back")


def pushed_again(lab):
    caller = lab.caller("canceller.xml", CANCEL_MS=300, REASON="",
                        name=f"again{os.urandom(3).hex()}")
    caller.wait(15)
    return lab.fake.requests(use="call", status=200)
