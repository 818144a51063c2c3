"""sipis stops and starts: silent at the PBX, and no call is forgotten."""

import glob
import os
import signal
import sqlite3

from harness import check, check_equal, poll
from stack import DeadlineError


def bindings(lab):
    """What stood on the wire, from the PBX's log; without the queries,
    which have no Contact."""
    return [r for r in lab.pbx.registers("100") if r["contact"] != "<null>"]


def un_registers(reg):
    return reg["expires"] == "0" or "expires=0" in \
        reg["contact"].replace(" ", "")


def restart(lab, how):
    lab.kamailio()
    lab.daemons()
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    before = bindings(lab)
    ours = [r for r in before if r["callid"] == before[-1]["callid"]]
    how(lab.sipis)
    (bound,) = lab.pbx.contacts("100")
    lab.sipis.start()
    check_equal(lab.pbx.contacts("100"), [bound], "the binding at the PBX")
    return before, ours


def orderly(sipis):
    check_equal(sipis.stop(), 0, "exit code after SIGTERM")


def test_orderly(lab):
    """No expires=0, same Call-ID, higher CSeq."""
    before, ours = restart(lab, orderly)
    check(not any(un_registers(r) for r in bindings(lab)[len(before):]),
          "no un-REGISTER")
    lab.gives_up(lambda: lab.fake.requests(use="call"), "push after restart")
    new_refresh(lab, ours)


def test_kill(lab):
    _, ours = restart(lab, lambda sipis: sipis.kill())
    new_refresh(lab, ours)


def new_refresh(lab, ours):
    """The PBX forgets (as if it had restarted); what sipis sends then
    continues the old dialog of registrations."""
    lab.pbx.rpc("ul.rm", "location", "100@demo.test")
    lab.pbx.rpc("ul.rm", "location", "100")
    seen = len(bindings(lab))
    poll(lambda: len(bindings(lab)) > seen, 120, "REGISTER after the restart")
    new = bindings(lab)[seen]
    check_equal(new["callid"], ours[-1]["callid"], "the Call-ID")
    check(new["cseq"] > ours[-1]["cseq"],
          f"CSeq {new['cseq']} after {ours[-1]['cseq']}")


def moved(lab, contact, first, then):
    """The binding follows sipis to its new address; a call right after finds
    it there."""
    transport, more = first
    lab.kamailio()
    lab.daemons(transport, pbx=more)
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    lab.sipis.stop()
    old = lab.pbx.contacts("100")
    transport, more = then
    lab.add_sipis(transport, pbx=more)
    new = poll(lambda: [c for c in lab.pbx.contacts("100") if c not in old],
               10, "binding with the new address", 0.05)
    check(contact in new[0], f"{contact} in {new}")
    lab.gives_up(lambda: lab.fake.requests(use="call"), "push after restart")


def test_other_port(lab):
    moved(lab, ":5090", ("udp", {}), ("udp", {"local_port": 5090}))


def test_other_address(lab):
    moved(lab, "@127.0.0.1:", ("udp", {"public_address": "127.0.0.9"}),
          ("udp", {}))


def test_other_transport(lab):
    moved(lab, ":5070;sipis=", ("tcp", {}), ("udp", {}))


def test_other_port_killed(lab):
    """Killed before all are registered anew: the next start makes up for
    it, also where it begins with the first address again."""
    lab.kamailio()
    lab.daemons()
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    lab.sipis.stop()
    # nobody answers there: what is swept is not registered
    lab.add_sipis(pbx={"local_port": 5090,
                       "outbound_proxy": "127.0.0.1:5999"})
    poll(lambda: "accounts not registered since the start register "
         "pbx=demo" in lab.sipis.log(), 10, "sweep")
    lab.sipis.kill()
    seen = len(bindings(lab))
    lab.add_sipis()
    poll(lambda: len(bindings(lab)) > seen, 10, "REGISTER after the restart")


def test_call_survives(lab):
    """A call that waits when sipis is killed gets its phone all the
    same."""
    lab.kamailio()
    lab.daemons()
    phone = lab.phone(options=("--wake-delay", "2000"))
    lab.wait_registered()
    caller = lab.caller(HOLD_MS=300)
    lab.newest_call()
    poll(lambda: lab.fake.requests(use="call"), 5, "push")
    lab.sipis.kill()
    lab.sipis.start()
    check_equal(caller.wait(40), 0, f"sipp's exit\n{caller.tail()}")
    check("200" in list(caller.results().values())[0],
          f"answered: {caller.results()}")
    phone.wait_step("ended")
    check_equal(lab.fake.counters()["apns_ok"] <= 2, True,
                "one push, or one and its repetition")


def pushes(lab):
    return lab.fake.requests(use="call")


def killed_at_the_push(lab, transport):
    """Nobody sends that INVITE again: a call that a phone was woken for
    has to be known after a kill -9 at any time."""
    lab.kamailio()
    lab.daemons(transport, pbx={"wake_timeout_s": 3})
    lab.phone(options=("--no-wake",), transport=transport)
    lab.wait_registered()
    (path,) = glob.glob(os.path.join(lab.folder, "**", "*-calls.db"),
                        recursive=True)
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")  # the call cannot be stored
        lab.caller()
        poll(lambda: "pbx INVITE from" in lab.sipis.log(), 5, "INVITE", 0.001)
        try:
            poll(lambda: pushes(lab), 0.3, "push", 0.001)
        except DeadlineError:
            db.execute("ROLLBACK")
        (push,) = poll(lambda: pushes(lab), 5, "push", 0.001)
        lab.sipis.kill()
    db.close()
    lab.sipis.start()
    call = push["call"]
    poll(lambda: (lab.sipis.call(call) or {}).get("ended") == "missed", 10,
         "the end of the call")
    what = [e["what"] for e in lab.sipis.call(call)["events"]]
    check("restored" in what and "480" in what, f"its timeline: {what}")


def test_killed_at_the_push_tcp(lab):
    killed_at_the_push(lab, "tcp")


def test_killed_at_the_push_tls(lab):
    killed_at_the_push(lab, "tls")


def test_frozen(lab):
    """SIGSTOP and SIGCONT: nothing late goes out afterwards."""
    lab.kamailio()
    lab.daemons(pbx={"wake_timeout_s": 2})
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    lab.sipis.popen.send_signal(signal.SIGSTOP)
    caller = lab.caller("canceller.xml", CANCEL_MS=4000, REASON="",
                        options=("-recv_timeout", "6000"))
    poll(lambda: caller.results(), 5, "INVITE on the wire")
    poll(lambda: "cancel" in str(caller.results()) or not caller.running(),
         30, "end of the caller's patience")
    lab.sipis.popen.send_signal(signal.SIGCONT)
    poll(lambda: lab.sipis.api().get("/healthz")[0] == 200, 10, "health")
    check_equal([p for p in lab.fake.requests(use="call") if p["late"]], [],
                "late pushes")
