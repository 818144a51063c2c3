"""Nobody comes: the caller gets a final answer in time."""

import time

from harness import check, check_equal, poll


def final(caller, seconds):
    check_equal(caller.wait(seconds), 0, f"sipp's exit\n{caller.tail()}")
    (outcome,) = caller.results().values()
    codes = [w for w in outcome if w.isdigit() and int(w) >= 200]
    check_equal(len(codes), 1, f"final answers in {outcome}")
    return codes[0], outcome[codes[0]] - outcome["invite"]


def test_wake_timeout(lab):
    """The phone stays dead: 480 at wake_timeout, not before, not later."""
    lab.kamailio()
    lab.daemons(pbx={"wake_timeout_s": 3})
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    caller = lab.caller()
    call = lab.newest_call()
    code, seconds = final(caller, 15)
    check_equal(code, "480", "the caller's answer")
    check(seconds < 4.0, f"it came after {seconds:.2f} s, not 3")
    poll(lambda: lab.sipis.call(call).get("ended"), 5, "end of the record")
    check_equal(lab.sipis.call(call)["ended"], "missed", "the call's end")
    at_us = lab.sipis.events(call)
    waited = at_us["sipis", "480"] - at_us["pbx", "INVITE"]
    check(waited >= 2990000, f"it came after {waited} us, not 3 s")


def test_no_mediator(lab):
    """No push path for 4 s: the PBX's voicemail gets its turn."""
    lab.kamailio()
    lab.daemons()
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    lab.mediator.kill()
    code, seconds = final(lab.caller(), 15)
    check_equal(code, "480", "the caller's answer")
    check(seconds < 5.0, f"it came after {seconds:.2f} s, not within 4")
    (call,) = lab.sipis.calls()
    words = [e["what"] for e in lab.sipis.call(call["call"])["events"]]
    check("push queued" in words and "push sent" not in words,
          f"nothing was sent: {words}")


def test_provider_silent(lab):
    """The push service takes the request and never answers."""
    lab.kamailio()
    lab.daemons()
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    lab.fake.op(op="script", match={"kind": "apns"}, do={"black_hole": True},
                times=0)
    code, seconds = final(lab.caller(), 15)
    check_equal(code, "480", "the caller's answer")
    check(seconds < 5.5, f"it came after {seconds:.2f} s, not within 4")


def dies_with_the_push(lab, *options):
    """The only mediator dies when the push service has the push."""
    lab.kamailio()
    lab.daemons()
    phone = lab.phone(options=options)
    lab.wait_registered()
    lab.fake.op(op="script", match={"kind": "apns"}, do={"black_hole": True},
                times=1)
    caller = lab.caller("caller.xml")
    call = lab.newest_call()
    poll(lambda: lab.fake.requests(call=call, use="call"), 5, "first push")
    lab.mediator.kill()
    return caller, call, phone


def test_mediator_dies_with_the_push(lab):
    """It stays away: 480 after 4 s, and the phone, which may ring, is told
    once there is a mediator again."""
    caller, call, _ = dies_with_the_push(lab, "--no-wake")
    code, seconds = final(caller, 15)
    check_equal(code, "480", "the caller's answer")
    check(3.3 < seconds < 5.0, f"it came after {seconds:.2f} s, not 4")
    (failed,) = [e for e in lab.sipis.call(call)["events"]
                 if e["what"] == "push failed"]
    check("timed out" in failed["detail"].lower(), f"{failed}")
    lab.mediator.start()
    poll(lambda: lab.fake.requests(call=call, use="ended", status=200), 10,
         "ended push")


def test_mediator_back_in_time(lab):
    """It is back while the call waits: the push leaves again."""
    caller, call, phone = dies_with_the_push(lab)
    died = time.monotonic()
    poll(lambda: time.monotonic() - died > 2, 5, "two seconds without it")
    lab.mediator.start()
    check_equal(caller.wait(15), 0, f"sipp's exit\n{caller.tail()}")
    (outcome,) = caller.results().values()
    check("200" in outcome, f"the caller was answered: {outcome}")
    phone.wait_step("ended")
    pushes = lab.fake.requests(call=call, use="call")
    check_equal(len(pushes), 2, f"pushes: {pushes}")
    sent = [e["what"] for e in lab.sipis.call(call)["events"]
            if e["what"].startswith("push sent")]
    check_equal(sent, ["push sent", "push sent again"], "the timeline")


def test_wrong_key(lab):
    """A wrong APNs key: one clear alert, and calls fail fast."""
    lab.kamailio()
    lab.fake_pns()
    over = {"credentials": [
        {"name": "apple",
         "apns": {"team_id": "TEAMDEMO01", "key_id": "WRONGKEY01",
                  "key_file": f"{lab.certs}/apns.p8",
                  "production_url": lab.fake.url, "sandbox_url": lab.fake.url,
                  "link": {"ca": f"{lab.certs}/provider-ca.pem"}}}],
        "apps": [{"name": "demo", "apns": {"credential": "apple",
                                           "topic": "com.example.demo"}}]}
    lab.add_mediator(over=over)
    lab.add_sipis()
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    for _ in range(3):
        code, seconds = final(lab.caller(), 15)
        check_equal(code, "480", "the caller's answer")
        check(seconds < 2.0, f"it failed after {seconds:.2f} s, not fast")
    alerts = [line for line in lab.mediator.log().splitlines()
              if " error " in line]
    check_equal(len(alerts), 1, f"alerts: {alerts}")
    check("InvalidProviderToken" in alerts[0] and "apple" in alerts[0],
          f"the alert names cause and credential: {alerts[0]}")
    oauth = lab.fake.counters()
    check(oauth["apns_rejected"] <= 4, f"requests with a bad key: {oauth}")


def test_dead_token(lab):
    """The push service says 410: the phone is not woken again, and the
    status says why."""
    lab.kamailio()
    lab.daemons()
    phone = lab.phone(options=("--no-wake",))
    lab.wait_registered()
    lab.fake.token(phone.token.split(",")[0], state="unregistered")
    code, seconds = final(lab.caller(), 15)
    check_equal(code, "480", "the caller's answer")
    check(seconds < 2.0, f"it failed after {seconds:.2f} s, not fast")

    def gone():
        (inst,) = lab.sipis.account("100")["instances"]
        return inst["state"] == "gone" and inst
    inst = poll(gone, 5, 'state "gone" in the status')
    check("Unregistered" in str(inst), f"the reason is shown: {inst}")
    poll(lambda: not lab.pbx.contacts("100"), 5,
         "un-REGISTER of an account whose only phone is gone")


def test_nobody_asleep_there(lab):
    """An account of nobody's: the PBX answers by itself, no push."""
    lab.kamailio()
    lab.daemons()
    code, _ = final(lab.caller(user="777"), 15)
    check_equal(code, "480", "the caller's answer")
    check_equal(lab.fake.counters()["apns"], 0, "pushes")
