"""The caller hangs up: before the push, after it, and across the answer."""

from harness import check, check_equal, poll
from sip import Caller


def ended(lab, call, seconds=5):
    poll(lambda: lab.sipis.call(call).get("ended"), seconds,
         "end of the record")
    return lab.sipis.call(call)["ended"]


def test_before_the_push(lab):
    """No mediator is there yet: 487, a tombstone, and no push ever."""
    lab.kamailio()
    lab.fake_pns()
    lab.add_mediator()
    lab.add_sipis()
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    lab.mediator.stop()
    caller = lab.caller("canceller.xml", CANCEL_MS=500, REASON="")
    call = lab.newest_call()
    check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
    check("487" in list(caller.results().values())[0],
          f"487: {caller.results()}")
    check_equal(ended(lab, call), "cancelled", "the tombstone")
    lab.mediator.start()
    second = lab.caller("canceller.xml", CANCEL_MS=3000, REASON="")
    poll(lambda: lab.fake.requests(use="call"), 10, "push of the next call")
    check_equal(lab.fake.requests(call=call), [], "pushes for a dead call")
    check_equal(second.wait(30), 0, "sipp's exit")


def test_after_the_push(lab):
    """The phone wakes too late and finds the tombstone; its ended push is
    not a VoIP push."""
    lab.kamailio()
    lab.daemons()
    phone = lab.phone(options=("--wake-delay", "2500"))
    lab.wait_registered()
    lab.gives_up(lambda: lab.fake.requests(use="call"))
    call = lab.newest_call()
    check_equal(ended(lab, call), "cancelled", "the tombstone")
    check_equal(phone.tombstone(lab.sipis, call), "cancelled",
                "what the app reads")
    poll(lambda: lab.fake.requests(call=call, use="ended"), 5, "ended push")
    for push in lab.fake.requests(use="ended"):
        check(push.get("push_type") != "voip", f"ended push by VoIP: {push}")
    check_equal(lab.fake.counters()["voip_misused"], 0, "VoIP misuse")


def test_answered_elsewhere(lab):
    """A contact that is none of ours answers: the CANCEL says so, and so
    does the tombstone."""
    lab.kamailio()
    lab.daemons()
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    caller = lab.caller("canceller.xml", CANCEL_MS=500,
                        REASON="Reason: SIP;cause=200;"
                        "text=\"Call completed elsewhere\"\n")
    call = lab.newest_call()
    check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
    check_equal(ended(lab, call), "answered_elsewhere", "the tombstone")


def test_while_the_phone_rings(lab):
    """The phone has the PBX's own INVITE and is not taken: nobody says
    that the call was answered, and the app still reads a word it knows."""
    lab.kamailio()
    lab.daemons(pbx={"wake_timeout_s": 3})
    phone = lab.phone(options=("--ring-only",))
    phone.wait_step("asleep")
    lab.wait_registered()
    final = Caller(("127.0.0.1", 5060)).run(4)
    call = lab.newest_call()
    check(final in (480, 487), f"the caller got {final}")
    check_equal(ended(lab, call, 10), "handed", "the record")
    poll(lambda: [e for e in lab.sipis.call(call)["events"]
                  if (e["what"], e["detail"]) == ("ended", "handed")], 10,
         "the end in the timeline")
    check_equal(phone.tombstone(lab.sipis, call), "answered",
                "what the app reads")


def test_across_the_answer(lab):
    """CANCEL and 200 cross in all orders; nothing hangs, nothing is lost,
    and the record says no more than sipis can know."""
    lab.kamailio()
    lab.daemons()
    phone = lab.phone(options=("--answer-after", "100"))
    seen = set()
    for i, wait_ms in enumerate((60, 90, 97, 99, 100, 101, 102, 105, 130)):
        phone.wait_step("asleep", count=i + 1)
        lab.wait_registered()
        known = {c["call"] for c in lab.sipis.calls()}
        final = Caller(("127.0.0.1", 5060)).run(wait_ms / 1000)
        seen.add(final)
        (call,) = {c["call"] for c in lab.sipis.calls()} - known
        end = ended(lab, call)
        check(end in ("handed", "cancelled"), f"{end} after {final}")
        if final == 200:
            check_equal(end, "handed", f"the record after {final}")
    print(f"finals: {sorted(seen)}")
