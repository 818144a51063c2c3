"""The user declines: the caller's ringing ends at once."""

from harness import check, check_equal, poll


def declined(lab, options=("--decline-after", "400"), transport="udp"):
    lab.kamailio()
    lab.daemons(transport)
    phone = lab.phone(transport=transport, options=options)
    lab.wait_registered()
    caller = lab.caller()
    check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
    (outcome,) = caller.results().values()
    return phone, outcome


def test_at_the_app(lab):
    phone, outcome = declined(lab)
    final = [at for what, at in outcome.items() if what in ("480", "486")]
    check(final, f"the caller got 480 or 486: {outcome}")
    said = phone.wait_step("486")["at_us"] / 1e6
    check(final[0] - said < 1.0,
          f"the caller heard it after {final[0] - said:.3f} s")
    call = lab.newest_call()
    poll(lambda: lab.sipis.call(call).get("ended") == "declined", 5,
         'end "declined" of the record')


def test_two_phones(lab):
    """One declines, the other goes on ringing and answers."""
    lab.kamailio()
    lab.daemons()
    first = lab.phone("first", options=("--decline-after", "200"))
    second = lab.phone("second", options=("--answer-after", "1500"))
    lab.wait_registered()
    caller = lab.caller()
    check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
    (outcome,) = caller.results().values()
    check("200" in outcome, f"the second phone answered: {outcome}")
    first.wait_step("ended")
    check_equal(second.wait_step("ended")["outcome"], "answered",
                "the second phone")
