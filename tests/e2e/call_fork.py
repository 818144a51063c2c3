"""A call wakes a sleeping phone at a Kamailio that forks late (TSILO)."""

from harness import check, check_equal, poll
from stack import call_hops, missing

# The phone may be awake before the push service has answered.
CAUSES = (("INVITE in", "push sent"), ("push sent", "provider accepted"),
          ("push sent", "app awake"), ("app awake", "app registered"),
          ("app registered", "INVITE at the app"),
          ("INVITE at the app", "180"), ("180", "200"), ("200", "BYE"))
ANDROID = "dGhlLWRlbW8tcGhvbmUtMDE:APA91b" + "x" * 128


def one_call(lab, transport, scenario="caller.xml", **phone):
    lab.kamailio()
    lab.daemons(transport)
    phone = lab.phone(transport=transport, **phone)
    lab.wait_registered()
    where = "127.0.0.9" if scenario == "caller.xml" else lab.host
    caller = lab.caller(scenario, HOLD_MS=500, address=where)
    check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
    (outcome,) = caller.results().values()
    check("200" in outcome, f"the caller was answered: {outcome}")
    phone.wait_step("ended")
    return phone


def check_timeline(lab, phone):
    """Each hop was recorded, in order, under one id."""
    call = lab.newest_call()
    poll(lambda: not missing(call_hops(call, lab.sipis, lab.fake, phone)), 5,
         f"hops of {call} but for "
         f"{missing(call_hops(call, lab.sipis, lab.fake, phone))}")
    hops = call_hops(call, lab.sipis, lab.fake, phone)
    at_us = {hop: at for hop, at, _ in hops}
    for first, then in CAUSES:
        check(at_us[first] <= at_us[then], f"{first}, {then}: {hops}")
    poll(lambda: lab.sipis.call(call).get("ended"), 5, "end of the record")
    check_equal(lab.sipis.call(call)["ended"], "handed", "the call's end")
    for part in (lab.sipis, lab.mediator):
        poll(lambda: call in part.log(), 5, f"the call's id, of {part.name}")
    (push,) = lab.fake.requests(use="call")
    check_equal(push["trace"], call, "the trace in the push")
    check_equal(push["status"], 200, "the push service's answer")
    check(not push["late"], "the push was in time")


def test_udp(lab):
    phone = one_call(lab, "udp")
    check_timeline(lab, phone)
    check_equal(lab.fake.counters()["duplicates_call"], 0, "pushes twice")
    check_equal(lab.fake.counters()["voip_misused"], 0, "VoIP misuse")


def test_tcp(lab):
    phone = one_call(lab, "tcp")
    check_timeline(lab, phone)


def test_tls(lab):
    phone = one_call(lab, "tls")
    check_timeline(lab, phone)


def test_android(lab):
    phone = one_call(lab, "udp", platform="android", token=ANDROID)
    check_timeline(lab, phone)
    check_equal(len(lab.fake.requests(kind="fcm", use="call")), 1,
                "pushes over FCM")


def test_ipv6(lab):
    lab.host = "::1"
    phone = one_call(lab, "udp", "caller-auth.xml")
    check_timeline(lab, phone)


def test_ipv6_tls(lab):
    lab.host = "::1"
    phone = one_call(lab, "tls", "caller-auth.xml")
    check_timeline(lab, phone)


def test_caller_logs_in(lab):
    one_call(lab, "udp", "caller-auth.xml")


def test_asleep_again(lab):
    """After the call the phone sleeps, sipis is registered, and the next
    call wakes it as well."""
    one_call(lab, "udp")
    phone = lab.parts[-2]
    phone.wait_step("asleep", count=2)
    lab.wait_registered()
    caller = lab.caller(HOLD_MS=300)
    check_equal(caller.wait(30), 0, "sipp's exit of the second call")
    check("200" in list(caller.results().values())[0], "answered again")
