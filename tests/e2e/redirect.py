"""A real Asterisk, chan_pjsip with its defaults: handover by redirect."""

from harness import check, check_equal, poll


def asterisk(lab, transport="udp", aor=None, endpoint=None, **pbx):
    lab.asterisk(aor=aor, endpoint=endpoint)
    lab.daemons(transport, pbx={"handover": "redirect", **pbx})
    print(lab.pbx.version(), flush=True)


def ended(lab, call, wanted):
    poll(lambda: lab.sipis.call(call).get("ended") == wanted, 5,
         f'end "{wanted}" of {lab.sipis.call(call)}')


def answered(lab, transport="udp", aor=None, endpoint=None):
    asterisk(lab, transport, aor, endpoint)
    phone = lab.phone(transport=transport)
    lab.wait_registered()
    caller = lab.caller(HOLD_MS=500)
    call = lab.newest_call()
    check_equal(caller.wait(40), 0, f"sipp's exit\n{caller.tail()}")
    (outcome,) = caller.results().values()
    check("200" in outcome, f"the caller was answered: {outcome}")
    check_equal(phone.wait_step("ended")["outcome"], "answered", "the phone")
    ended(lab, call, "handed")
    what = [e["what"] for e in lab.sipis.call(call)["events"]]
    check(any("302" in w for w in what), f"302 in the timeline: {what}")
    check_equal(len(lab.fake.requests(use="call")), 1, "pushes")
    phone.wait_step("asleep", count=2)
    lab.wait_registered()
    return phone


def test_answer_udp(lab):
    answered(lab)


def test_answer_tcp(lab):
    answered(lab, "tcp")


def test_answer_tls(lab):
    """rewrite_contact: calls come over the connection that the phone
    opened, as a phone without a certificate of its own needs it."""
    answered(lab, "tls", endpoint={"rewrite_contact": "yes"})


def test_answer_one_contact(lab):
    """max_contacts=1, remove_existing=yes: the app's REGISTER replaces
    ours, which therefore must not be un-REGISTERed."""
    answered(lab, aor={"max_contacts": 1, "remove_existing": "yes"})


def test_decline(lab):
    """486 at once for the caller."""
    asterisk(lab)
    phone = lab.phone(options=("--decline-after", "400"))
    lab.wait_registered()
    caller = lab.caller()
    call = lab.newest_call()
    check_equal(caller.wait(40), 0, f"sipp's exit\n{caller.tail()}")
    (outcome,) = caller.results().values()
    check("486" in outcome, f"the caller got 486: {outcome}")
    said = phone.wait_step("486")["at_us"] / 1e6
    check(outcome["486"] - said < 1.0,
          f"the caller heard it after {outcome['486'] - said:.3f} s")
    ended(lab, call, "declined")
    check_equal(len(lab.fake.requests(use="call")), 1, "pushes: no echo")


def test_redial(lab):
    """The phone declines, the app sleeps, sipis is registered again, and the
    same caller dials at once: that is a call, not what Asterisk makes of our
    302."""
    asterisk(lab)
    phone = lab.phone(options=("--decline-after", "400"))
    lab.wait_registered()
    caller = lab.caller()
    first = lab.newest_call()
    check_equal(caller.wait(40), 0, f"sipp's exit\n{caller.tail()}")
    phone.wait_step("asleep", count=2)
    lab.wait_registered()
    again = lab.caller(name="redial")
    second = poll(lambda: [c["call"] for c in lab.sipis.calls()
                           if c["call"] != first], 5, "the second call")[0]
    check_equal(again.wait(40), 0, f"sipp's exit\n{again.tail()}")
    ended(lab, second, "declined")
    pushed = [p["call"] for p in lab.fake.requests(use="call")]
    check_equal(pushed, [first, second], "calls with a push")


def test_two_phones(lab):
    """Both are gathered, both ring, one answers."""
    asterisk(lab, gather_ms=1000)
    first = lab.phone("first", options=("--answer-after", "1200"))
    second = lab.phone("second", options=("--ring-only",))
    lab.wait_registered()
    caller = lab.caller(HOLD_MS=300)
    check_equal(caller.wait(40), 0, f"sipp's exit\n{caller.tail()}")
    check("200" in list(caller.results().values())[0], "answered")
    check_equal(first.wait_step("ended")["outcome"], "answered", "first")
    check_equal(second.wait_step("ended")["outcome"], "cancelled", "second")


def test_cancel(lab):
    """The caller hangs up before the phone is awake; Asterisk's CANCEL
    says Q.850;cause=127."""
    asterisk(lab)
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    caller = lab.caller("canceller.xml", CANCEL_MS=800, REASON="")
    call = lab.newest_call()
    check_equal(caller.wait(40), 0, f"sipp's exit\n{caller.tail()}")
    ended(lab, call, "cancelled")


def test_wake_timeout(lab):
    asterisk(lab, wake_timeout_s=3)
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    caller = lab.caller()
    call = lab.newest_call()
    check_equal(caller.wait(40), 0, f"sipp's exit\n{caller.tail()}")
    ended(lab, call, "missed")
    lab.wait_registered()
