"""What the registration machine promises (promises.md, sections 2 and 3),
with a registrar that can be told to misbehave."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import check, check_equal, poll  # noqa: E402
from reg_lib import Driver, cycles  # noqa: E402
import dns  # noqa: E402
import evil_registrar  # noqa: E402
from evil_registrar import Answer, Registrar, behaviour  # noqa: E402

OWNERS = {}


@behaviour("own_nonce", "a nonce is good for the account that asked for it")
def own_nonce(reg, r):
    if r.auth and OWNERS.get(r.auth["nonce"]) not in (None, r.msg.user):
        r.auth["valid"] = False
    answer = evil_registrar.login(reg, r)
    if answer:
        OWNERS[f"n{reg.nonce_no}"] = r.msg.user
        nonce = evil_registrar.params(answer.headers[0][1])["nonce"]
        OWNERS[nonce] = r.msg.user
        return answer
    return evil_registrar.good(reg, r)


def driver(lab, reg, name="driver", **options):
    options.setdefault("speed", 20)
    options.setdefault("local_address", "127.0.0.1")
    options.setdefault("proxy", f"127.0.0.1:{reg.port}")
    return lab.add(Driver(lab.build, lab.folder, name, **options)).start()


def bindings(records):
    """Without the looks."""
    return [r for r in records if r["contact"]]


def refused(reg, since=0):
    """Credentials that were wrong."""
    return [r for r in reg.records()[since:]
            if r["auth"] and not r["auth"]["valid"]]


def in_a_second(records, speed):
    """The most REGISTERs in any second of the driver's time."""
    times = sorted(r["mono"] * speed for r in records)
    first, most = 0, 0
    for last, time in enumerate(times):
        while time - times[first] > 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_wrong_passwords_are_few(lab):
    """T4: 1,000 bad accounts and 10 good: two mistakes in ten minutes, and
    the good ones stay."""
    reg = Registrar().start()
    drv = driver(lab, reg, auth_failures=2, refresh=300, register_rate=200)
    drv.say("add good 0 10")
    drv.wait_count("registered", 10)
    for n in range(1000):
        drv.add(f"bad{n}", "wrong")
    drv.run_for(560)
    check(1 <= len(refused(reg)) <= 4,
          f"{len(refused(reg))} mistakes in 560 s, 2 per 600 s allowed "
          "after the first two")
    check_equal(drv.counts()["registered"], 10, "good accounts")
    reg.stop()


def test_probes_share_the_budget(lab):
    reg = Registrar().start()
    drv = driver(lab, reg, auth_failures=2)
    answers = [drv.op("probe", f"u{n}", "wrong") for n in range(4)]
    check_equal([a["scode"] for a in answers[:2]], [401, 401], "answers")
    check_equal([a["err"] for a in answers[2:]], [11, 11], "EAGAIN")
    check_equal(len(refused(reg)), 2, "mistakes")
    check(not any(reg.bindings.values()), "a probe left a binding")
    reg.stop()


def test_good_probes_cost_nothing(lab):
    reg = Registrar().start()
    drv = driver(lab, reg, auth_failures=2)
    for n in range(20):
        answer = drv.op("probe", f"u{n}", f"pw-u{n}")
        check_equal((answer["scode"], answer["err"], answer["realm"]),
                    (200, 0, "test"), "answer")
    reg.stop()


def test_new_password_ends_auth_failed(lab):
    reg = Registrar().start()
    drv = driver(lab, reg)
    drv.add("u", "wrong")
    drv.wait_state("u", "auth_failed")
    drv.say("want u 0")
    drv.wait_state("u", "idle")
    drv.say("want u 1")
    drv.wait_state("u", "auth_failed")
    check_equal(len(refused(reg)), 1, "mistakes")
    drv.say("password u pw-u")
    drv.wait_state("u", "registered")
    reg.stop()


@behaviour("slow_verdict", "credentials are judged a second later")
def slow_verdict(reg, r):
    answer = evil_registrar.login(reg, r) or evil_registrar.good(reg, r)
    if r.auth:
        answer.delay = 1
    return answer


def test_verdict_on_the_old_password(lab):
    """A new password while the old one is still being judged."""
    reg = Registrar(behaviour="slow_verdict").start()
    drv = driver(lab, reg)
    drv.add("u", "wrong")
    reg.wait(2)
    drv.say("password u pw-u")
    drv.wait_state("u", "registered")
    check_equal([e["change"] for e in drv.events if "change" in e],
                ["registering", "registered"], "states")
    check_equal(len(refused(reg)), 1, "mistakes")

    # and the other way round: the PBX took the old one
    drv.run_for(30)
    seen = reg.count()
    drv.say("want u 0")
    drv.wait_state("u", "idle")
    drv.say("want u 1")
    reg.wait(seen + 2)
    drv.say("password u wrong")
    drv.wait_state("u", "auth_failed")
    reg.stop()


def test_too_many_accounts_are_told(lab):
    reg = Registrar().start()
    drv = driver(lab, reg, refresh=100, register_rate=10, rate=100)

    def metric(name):
        return drv.ask(f"metric sipis_reg_{name}", "metric")["metric"]

    drv.say("add few 0 200")
    drv.wait_count("registered", 200)
    drv.run_for(20)
    check_equal(metric('needed_per_second{pbx="test"}'), 3, "200 in 80 s")
    check_equal(metric('allowed_per_second{pbx="test"}'), 10, "rate")
    check("more accounts" not in drv.log(), "told too early")
    drv.say("add many 0 1000")
    drv.run_for(10)
    check_equal(metric('needed_per_second{pbx="test"}'), 15, "1200 in 80 s")
    check(metric('queue{pbx="test",lane="first"}') > 500, "no queue")
    poll(lambda: metric('lag_seconds{pbx="test"}') > 0, 30, "a lag")
    drv.run_for(60)
    told = drv.log().count("more accounts than register_rate")
    check_equal(told, 1, "warnings")
    check("accounts=1200 grant_s=100 needed=15/s register_rate=10/s"
          in drv.log(), "figures")
    reg.stop()


def goodbyes(reg, user):
    """Un-REGISTERs, in rounds of which each ends in an answer or none."""
    return cycles([r for r in reg.records(user)
                   if r["contact"] and r["expires"] == 0], 20, 20)


def test_goodbye_is_said_until_it_is_heard(lab):
    reg = Registrar().start()
    drv = driver(lab, reg)
    for user in ("u", "busy", "barred"):
        drv.add(user)
        drv.wait_state(user, "registered")
    reg.behave("silence", "u")
    reg.behave("503", "busy")
    reg.behave("auth+403", "barred")
    for user in ("u", "busy", "barred"):
        drv.say(f"leave {user}")
    poll(lambda: len(goodbyes(reg, "u")) >= 2
         and len(goodbyes(reg, "busy")) >= 2, 30, "second goodbyes")
    check_equal(drv.counts()["unregistering"], 2, "still leaving")
    check_equal(len(goodbyes(reg, "barred")), 1, "goodbyes after a verdict")
    reg.behave("ok", "u")
    reg.behave("ok", "busy")
    poll(lambda: sum(drv.counts().values()) == 0, 60, "they left")
    check(not reg.bindings["u"] and not reg.bindings["busy"],
          "a binding stands")
    check(reg.bindings["barred"], "nobody un-REGISTERed that one")
    reg.stop()


def test_goodbye_is_given_up(lab):
    """No longer than the grant, and not often."""
    reg = Registrar().start()
    drv = driver(lab, reg, refresh=900)
    drv.add("u")
    drv.wait_state("u", "registered")
    reg.behave("silence")
    drv.say("leave u")
    drv.run_for(60)
    check_equal(sum(drv.counts().values()), 1, "it is still there")
    poll(lambda: sum(drv.counts().values()) == 0, 70, "it is given up")
    check(2 <= len(goodbyes(reg, "u")) <= 6,
          f"{len(goodbyes(reg, 'u'))} goodbyes in 900 s")
    reg.stop()


@behaviour("one_binding", "one binding; whoever un-REGISTERs takes it away")
def one_binding(reg, r):
    """Asterisk's chan_sip."""
    answer = evil_registrar.login(reg, r)
    if answer:
        return answer
    list_ = reg.bindings.setdefault(r.msg.user, {})
    if r.uri:
        list_.clear()
    return evil_registrar.good(reg, r)


def test_apps_binding_is_not_taken_away(lab):
    reg = Registrar(behaviour="one_binding").start()
    drv = driver(lab, reg, handover="redirect")
    for user in ("app", "late"):
        drv.add(user)
        drv.wait_state(user, "registered")
    drv.run_for(30)
    with reg.lock:
        reg.bindings["app"] = {"sip:app@phone": (None, 300)}
    for user in ("app", "late"):
        drv.say(f"want {user} 0")
        drv.wait_state(user, "idle")
    check_equal(list(reg.bindings["app"]), ["sip:app@phone"], "bindings")
    check_equal(len(goodbyes(reg, "app")), 0, "goodbyes")
    check_equal(list(reg.bindings["late"]), [], "bindings")
    check_equal(len(goodbyes(reg, "late")), 1, "goodbyes")

    # who has looked himself is not kept waiting, and it comes back
    drv.say("want late 1")
    drv.wait_state("late", "registered")
    seen = reg.count("late")
    check_equal(drv.op("unregister", "late")["scode"], 200, "answer")
    check(all(r["contact"] for r in reg.records("late")[seen:]), "a look")
    drv.say("want app 1")
    drv.wait_state("app", "registered")
    reg.stop()


def test_secret_that_does_not_open(lab):
    """Ours to mend, not the PBX's verdict: the account waits, and is there
    again with the key."""
    reg = Registrar().start()
    store = os.path.join(lab.folder, "sealed.db")
    drv = driver(lab, reg, "right-key", store=store)
    for user in ("u", "v"):
        drv.add(user)
        drv.wait_state(user, "registered")
    drv.stop()
    drv = driver(lab, reg, "wrong-key", store=store, secret=8)
    drv.say("password u pw-u")
    drv.wait_state("u", "registered")
    # v now has the nonce of u to begin with
    drv.wait_state("v", "waiting", 60)
    drv.run_for(600)
    check_equal(drv.counts()["auth_failed"], 0, "accounts given up")
    check("does not open" in drv.tail(10000), "nothing in the log")
    drv.stop()
    drv = driver(lab, reg, "right-again", store=store)
    drv.wait_state("v", "registered", 60)
    check_equal(len(refused(reg)), 0, "mistakes")
    reg.stop()


def test_good_password_is_doubted_late(lab):
    """P17 for an account that was registered: a second verdict in a row,
    15 minutes later at the soonest, is the last; one that is good in
    between counts from anew."""
    reg = Registrar().start()
    drv = driver(lab, reg, speed=100, refresh=120)
    for user in ("gone", "back"):
        drv.add(user)
        drv.wait_state(user, "registered")
        reg.behave("endless401", user)
    for user in ("gone", "back"):
        due = drv.wait_state(user, "rejected", 30)["due_in"]
        check(900 <= due <= 1801, f"{user}: again in {due} s")
    reg.behave("ok", "back")
    drv.wait_state("gone", "auth_failed", 60)
    drv.wait_state("back", "registered", 60)
    shown = reg.count("gone")
    reg.behave("endless401", "back")
    drv.wait_state("back", "rejected", 30)
    drv.run_for(2000)
    check_equal(reg.count("gone"), shown, "REGISTERs")
    check_equal(drv.state("gone"), "auth_failed", "state")
    reg.stop()


class DeafRegistrar(Registrar):
    """Hears nothing while deaf, OPTIONS neither; or REGISTERs only."""

    def __init__(self, **more):
        super().__init__(**more)
        self.deaf, self.to, self.lost = False, ("REGISTER", "OPTIONS"), []

    def _message(self, data, peer):
        if not self.deaf or data.split(b" ")[0].decode() not in self.to:
            super()._message(data, peer)
        elif b"REGISTER" in data[:9]:
            self.lost.append(data)


def comes_back(lab, reg):
    """P20: away for ten minutes; 99 % registered within 45 s of its return.
    T11: meanwhile hardly anything is sent."""
    drv = driver(lab, reg, refresh=120, register_rate=100, speed=15)
    drv.say("add u 0 300")
    drv.wait_count("registered", 300)
    reg.deaf = True
    drv.run_for(600)
    check(drv.counts()["waiting"] >= 290, f"{drv.counts()}")
    quiet = len(reg.lost)
    drv.run_for(60)
    sent = reg.lost[quiet:]
    check(len(sent) <= 24,
          f"{len(sent)} packets to a dead PBX in 60 s: {sent[::4]}")
    reg.deaf = False
    quiet = len(reg.records())
    back = drv.clock()
    drv.wait_count("registered", 297)
    took = drv.clock() - back
    check(took <= 45, f"{took:.1f} s")
    check(in_a_second(reg.records()[quiet:], 15) <= 125,
          "more than the pace allows")
    reg.stop()


def test_pbx_comes_back(lab):
    comes_back(lab, DeafRegistrar().start())


def test_pbx_deaf_to_registers(lab):
    """It answers OPTIONS all the time."""
    reg = DeafRegistrar().start()
    reg.to = ("REGISTER",)
    comes_back(lab, reg)


def test_pbx_forgot_everything(lab):
    """P11, P12: noticed within 75 s, and all are back as fast as the pace
    allows."""
    reg = Registrar().start()
    drv = driver(lab, reg, refresh=3600, register_rate=50)
    drv.say("add u 0 200")
    drv.wait_count("registered", 200)
    drv.run_for(40)
    reg.clear()
    lost = drv.clock()
    poll(lambda: len(reg.bindings) == 200, 20, "200 bindings")
    took = drv.clock() - lost
    check(took <= 75 + 200 / 50, f"{took:.1f} s")
    reg.stop()


def test_one_lost_binding_is_one(lab):
    reg = Registrar().start()
    drv = driver(lab, reg, refresh=3600)
    drv.say("add u 0 3")
    drv.wait_count("registered", 3)
    drv.run_for(40)
    reg.bindings["u1"].clear()
    before = len(bindings(reg.records()))
    poll(lambda: reg.bindings["u1"], 30, "the binding of u1")
    drv.run_for(100)
    check_equal({r["user"] for r in bindings(reg.records())[before:]},
                {"u1"}, "who registered")
    for words in ("has lost its binding", "has a binding"):
        check(re.search(f" u1@[^ ]+ {words}", drv.log()), f"log: {words}")
    reg.stop()


def test_pbx_that_tells_nothing(lab):
    """It never lists bindings: that is no loss, and no storm."""
    reg = Registrar(behaviour="contact_none").start()
    drv = driver(lab, reg, refresh=3600)
    drv.say("add u 0 20")
    drv.wait_count("registered", 20)
    drv.run_for(400)
    check(len(bindings(reg.records())) <= 20 * 2 + 6,
          f"{len(bindings(reg.records()))} REGISTERs")
    reg.stop()


def test_pace(lab):
    """P13: no second sees more than 110 % of the cap, answers to
    challenges included."""
    reg = Registrar().start()
    drv = driver(lab, reg, register_rate=60, speed=3, nonce="none")
    drv.say("add u 0 240")
    drv.wait_count("registered", 240)
    check(in_a_second(reg.records(), 3) <= 70,
          f"{in_a_second(reg.records(), 3)} in a second, cap 60")
    reg.stop()


def test_retry_after_is_kept(lab):
    """P19: not before its time."""
    reg = Registrar(behaviour="503:40").start()
    drv = driver(lab, reg)
    drv.say("add u 0 50")
    drv.wait_count("waiting", 50)
    drv.run_for(100)
    times = sorted(r["mono"] * 20 for r in reg.records())
    gaps = [b - a for a, b in zip(times, times[1:])]
    check(len(times) > 1 and not [g for g in gaps if 5 < g < 39],
          f"gaps {gaps}")
    by_user = {}
    for r in reg.records():
        by_user.setdefault(r["user"], []).append(r["mono"] * 20)
    for user, times in by_user.items():
        for a, b in zip(times, times[1:]):
            check(b - a >= 39, f"{user} again after {b - a:.1f} s")
    reg.behave("ok")
    drv.wait_count("registered", 50)
    reg.stop()


def test_first_word_goes_first(lab):
    """An un-REGISTER does not wait behind a long queue."""
    reg = Registrar().start()
    drv = driver(lab, reg, register_rate=20, speed=1)
    drv.add("first")
    drv.wait_state("first", "registered")
    drv.say("add u 0 500")
    drv.wait_event(lambda e: e.get("user") == "u499")
    answer = drv.op("unregister", "first", seconds=2)
    check_equal(answer["scode"], 200, "answer")
    check(not reg.bindings["first"], "still bound")
    check(drv.counts()["registering"] > 400, "the queue was short")
    reg.stop()


def test_nonce_is_shared(lab):
    reg = Registrar().start()
    drv = driver(lab, reg, refresh=60)
    drv.say("add u 0 50")
    drv.wait_count("registered", 50)
    before = len(reg.records())
    drv.run_for(120)
    later = bindings(reg.records()[before:])
    check(len(later) >= 90, f"{len(later)} refreshes")
    check(not [r for r in later if r["answer"] == 401],
          "a kept nonce was not used")
    ncs = [r["auth"]["nc"] for r in later]
    check_equal(len(set(ncs)), len(ncs), "different nc")
    reg.stop()


def test_nonce_of_ones_own(lab):
    """Found out by three refusals; then each account asks for its own."""
    reg = Registrar(behaviour="own_nonce").start()
    drv = driver(lab, reg, refresh=60)
    drv.say("add u 0 50")
    drv.wait_count("registered", 50)
    before = len(reg.records())
    drv.run_for(200)
    # those under way when it is found out are refused as well; for ever
    # would be three each
    check(len(refused(reg, before)) <= 50,
          f"{len(refused(reg, before))} refusals")
    check_equal(drv.counts()["registered"], 50, "registered")
    reg.stop()


def test_restart_is_silent(lab):
    """P4: no expires=0, the same Call-ID, a higher CSeq, the same contact,
    no storm; after SIGTERM as after SIGKILL."""
    reg = Registrar().start()
    store = os.path.join(lab.folder, "reg.db")
    options = {"store": store, "local_port": 5070, "refresh": 600,
               "speed": 10, "register_rate": 1000}
    drv = driver(lab, reg, **options)
    drv.say("add u 0 60")
    drv.wait_count("registered", 60)
    drv.run_for(30)
    for end in ("kill", "stop", "kill"):
        known = {r["user"]: r for r in bindings(reg.records())}
        before = len(reg.records())
        getattr(drv, end)()
        check_equal(len(reg.records()), before, f"REGISTERs at the {end}")
        drv.start()
        check_equal(drv.counts()["registered"], 60, "taken up")
        drv.run_for(60)
        later = bindings(reg.records()[before:])
        check(len(later) <= 60 * 60 / 480 * 4 + 4,
              f"{len(later)} REGISTERs in the first 60 s after a {end}")
        for r in later:
            old = known[r["user"]]
            check_equal(r["call_id"], old["call_id"], "Call-ID")
            check_equal(r["contact"], old["contact"], "contact")
            check(r["cseq"] > old["cseq"], f"CSeq {r['cseq']}")
        check_equal({r["user"] for r in later},
                    {r["user"] for r in later if r["auth"]},
                    "who remembers the password")
    check(not [r for r in reg.records() if r["expires"] == 0], "expires=0")
    poll(lambda: len({r["user"] for r in bindings(reg.records()[before:])})
         == 60, 100, "a refresh of each")
    reg.stop()


def restart_with_a_queue(lab, times):
    """Refreshes that were due and still waited when it ended do not wait
    for another period."""
    reg = Registrar().start()
    options = {"store": os.path.join(lab.folder, "queue.db"),
               "local_port": 5070, "refresh": 400, "inflight": 2}
    drv = driver(lab, reg, "before", **options)
    drv.say("add u 0 400")
    drv.wait_count("registered", 400, 60)
    drv.run_for(330)
    reg.behave("silence")
    poll(lambda: drv.ask('metric sipis_reg_queue{pbx="test",lane="refresh"}',
                         "metric")["metric"] >= 12, 10, "a queue")
    drv.stop()
    for n in range(1, times):
        drv = driver(lab, reg, f"again{n}", **options)
        drv.run_for(3)
        drv.stop()
    reg.behave("ok")
    drv = driver(lab, reg, "after", **options)
    drv.run_for(160)
    now, last = time.monotonic(), {}
    for r in bindings(reg.records()):
        if r["answer"] == 200:
            last[r["user"]] = r["mono"]
    gaps = sorted((now - at) * drv.speed for at in last.values())
    check_equal(len(gaps), 400, "accounts")
    check(gaps[-1] <= 400, f"{sum(g > 400 for g in gaps)} lapsed: {gaps[-5:]}")
    reg.stop()


def test_restart_with_a_queue(lab):
    restart_with_a_queue(lab, 1)


def test_restart_with_a_queue_twice(lab):
    """Nor do they if the second run has not come to them."""
    restart_with_a_queue(lab, 2)


def test_restart_with_lost_accounts(lab):
    """Who was not registered when we ended is not taken for registered."""
    reg = Registrar().start()
    store = os.path.join(lab.folder, "lost.db")
    drv = driver(lab, reg, store=store, local_port=5070, refresh=60)
    drv.say("add u 0 5")
    drv.wait_count("registered", 5)
    reg.behave("500")
    drv.wait_count("waiting", 5)
    drv.kill()
    reg.behave("ok")
    before = len(reg.records())
    drv.start()
    drv.wait_count("registered", 5)
    reg.wait(before + 5)
    reg.stop()


MANY, MOVE_RATE = 600, 60


def restart_within_the_sweep(lab, end):
    """All bindings have to be made anew, paced; it ends in the middle of
    that, and again: those that are left are not forgotten, and the pace is
    that of one run."""
    reg = Registrar().start()
    options = {"store": os.path.join(lab.folder, "sweep.db"), "speed": 1,
               "refresh": 3600, "register_rate": MOVE_RATE}
    drv = driver(lab, reg, "before", local_port=5070, **options)
    drv.say(f"add u 0 {MANY}")
    drv.wait_count("registered", MANY, 60)
    known = {r["user"]: r for r in bindings(reg.records())}
    end(drv)
    begin = len(reg.records())
    for n, part in enumerate((MANY // 4, MANY // 2)):
        drv = driver(lab, reg, f"moves{n}", local_port=5071, **options)
        poll(lambda part=part: len(moved(reg, known, begin)) >= part, 30,
             f"{part} bindings of the new address", 0.02)
        check(len(moved(reg, known, begin)) < MANY, "it is still at it")
        end(drv)
    driver(lab, reg, "last", local_port=5071, **options)
    poll(lambda: len(moved(reg, known, begin)) == MANY, 60, "all of them")
    later = reg.records()[begin:]
    check(in_a_second(later, 1) <= 2 * MOVE_RATE,
          f"{in_a_second(later, 1)} REGISTERs in a second")
    check(len(bindings(later)) <= 4 * MANY, f"{len(later)} REGISTERs")
    check_equal([r for r in later if r["expires"] == 0], [], "expires=0")
    for r in bindings(later):
        old = known[r["user"]]
        check_equal(r["call_id"], old["call_id"], "Call-ID")
        check(r["cseq"] > old["cseq"], f"CSeq {r['cseq']}")
        known[r["user"]] = r
    reg.stop()


def moved(reg, known, begin):
    """Those that the PBX has at another address than before."""
    return {r["user"] for r in bindings(reg.records()[begin:])
            if r["answer"] == 200 and r["contact"] !=
            known[r["user"]]["contact"]}


def test_restart_within_the_sweep(lab):
    restart_within_the_sweep(lab, lambda drv: drv.stop())


def test_kill_within_the_sweep(lab):
    restart_within_the_sweep(lab, lambda drv: drv.kill())


def test_connection_lost(lab):
    """A dead connection means that nobody can be called: all register."""
    reg = Registrar().start()
    drv = driver(lab, reg, transport="tcp", refresh=3600)
    drv.say("add u 0 20")
    drv.wait_count("registered", 20)
    drv.run_for(40)
    before = len(reg.records())
    for conn in list(reg.conns):
        reg._conn_close(conn, True)
    poll(lambda: len({r["user"] for r in bindings(reg.records()[before:])})
         == 20, 10, "all accounts again")
    check(len({r["src"] for r in reg.records()[before:]}) == 1,
          "more than one new connection")
    reg.stop()


def test_restart_over_tcp_registers_all(lab):
    """Their connection is gone: once each, at the pace."""
    reg = Registrar().start()
    store = os.path.join(lab.folder, "tcp.db")
    drv = driver(lab, reg, transport="tcp", store=store, local_port=5070,
                 refresh=3600)
    drv.say("add u 0 20")
    drv.wait_count("registered", 20)
    before = len(reg.records())
    drv.kill()
    drv.start()
    poll(lambda: len({r["user"] for r in bindings(reg.records()[before:])})
         == 20, 10, "all accounts again")
    reg.stop()


def test_tls_name_must_fit(lab):
    """F1, C6: right name in; wrong name and unknown CA out; never UDP."""
    reg = Registrar(tls=(f"{lab.certs}/pbx.pem",
                         f"{lab.certs}/pbx.key")).start()
    common = {"transport": "tls", "proxy": f"127.0.0.1:{reg.tls_port}"}
    ca = f"{lab.certs}/site-ca.pem"
    cases = (("right", {"ca": ca, "tls_name": "pbx.test"}, "registered"),
             ("wrong", {"ca": ca, "tls_name": "other.test"}, "waiting"),
             ("address", {"ca": ca}, None),
             ("foreign", {"ca": f"{lab.certs}/provider-ca.pem",
                          "tls_name": "pbx.test"}, "waiting"))
    for name, options, state in cases:
        before = len(reg.records())
        drv = driver(lab, reg, name, **common, **options)
        drv.add("u")
        if state:
            drv.wait_state("u", state)
        if state == "waiting":
            drv.run_for(60)
            check_equal(len(reg.records()), before, f"{name}: REGISTERs")
        drv.stop()
    check_equal({r["transport"] for r in reg.records()}, {"tls"},
                "transports")
    reg.stop()


def test_target_fails_over(lab):
    """The better target is silent: the next one is asked soon, and stays."""
    live = Registrar().start()
    dead = Registrar(listen="127.0.0.2:0", behaviour="silence").start()
    home = dns.HOME
    server = dns.resolver(lab, {
        ("_sip._udp.demo.test", dns.SRV): [
            dns.srv(10, dead.port, "dead.demo.test"),
            dns.srv(20, live.port, "live.demo.test")],
        ("dead.demo.test", dns.A): [bytes([127, 0, 0, 2])],
        ("live.demo.test", dns.A): [home]})
    drv = lab.add(Driver(lab.build, lab.folder, "srv", 10,
                         dns="127.0.0.1:53",
                         local_address="127.0.0.1")).start()
    drv.add("u")
    start = drv.clock()
    drv.wait_state("u", "registered")
    check(drv.clock() - start < 15, f"{drv.clock() - start:.1f} s")
    check(dead.records(), "the better one was not asked")
    check(live.records(), "the other one was not asked")
    check(server.asked, "nothing asked")
    live.stop()
    dead.stop()


def test_invite_is_answered_to_the_pbx_only(lab):
    reg = Registrar().start()
    drv = driver(lab, reg, local_port=5070, speed=1)
    drv.add("u")
    drv.wait_state("u", "registered")
    call = reg.invite("u")
    call.wait(480)
    drv.wait_event(lambda e: e.get("invite") == "u")
    stranger = Registrar(listen="127.0.0.3:0").start()
    stranger.bindings = reg.bindings
    uri, (_, expires) = next(iter(reg.bindings["u"].items()))
    peer = evil_registrar.Peer(
        "udp", ("127.0.0.1", 5070),
        lambda d: stranger.udp_sock.sendto(d, ("127.0.0.1", 5070)))
    stranger.bindings = {"u": {uri: (peer, expires)}}
    events = len(drv.events)
    call = stranger.invite("u")
    reg.invite("u").wait(480)
    check_equal(call.statuses, [], "answers to a stranger")
    check_equal(sum("invite" in e for e in drv.events[events:]), 1,
                "INVITEs taken")
    stranger.stop()
    reg.stop()
