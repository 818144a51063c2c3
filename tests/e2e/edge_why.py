"""Why did it not ring?  Phones that come to the edge and are refused there,
and those that are here: in timelines, in the status, in the log."""

import json

from edge import EDGE, Forking, hand, here, known, metric, site
from handphone import HandPhone
from harness import check, check_equal, poll
from openapi_check import Spec
from sipisctl import ask

NEVER = 20


def rebuffs(lab):
    """What the newest call's timeline says of those who came in vain."""
    events = lab.sipis.call(lab.newest_call())["events"]
    return [e["detail"] for e in events if e["what"] == "REGISTER refused"]


def account(lab, user="100"):
    status = json.loads(ask(lab, "--json", "status", user)[1])
    wrong = Spec().errors({"$ref": "#/components/schemas/Status"}, status)
    check(not wrong, f"as openapi.yaml says: {wrong}")
    (found,) = [a for a in status["accounts"]
                if a["account"] == f"sip:{user}@demo.test"]
    return found


def waits(lab):
    """A call that waits for somebody to come."""
    pbx = Forking(lab, "f")
    pbx.say("INVITE", "one")
    poll(lab.sipis.calls, 5, "the call")
    return pbx


def test_refused(lab):
    """Wrong password, too short, no such extension, wrong too often: each
    stands in the timeline of the call that waits, once, and in the status."""
    site(lab, wake_timeout_s=NEVER, edge={"bad_secrets_per_min": 3})
    known(lab, "why")
    waits(lab)
    phone = hand(lab, "why")
    check_equal(phone.register(expires=10).status, 423, "too brief")
    check_equal(phone.register(extra="Require: foo\r\n").status, 420, "foo")
    phone.password = "wrong"
    statuses = [phone.register().status for _ in range(20)]
    check_equal((statuses[0], statuses[-1]), (401, 403), f"{statuses}")
    lines = poll(lambda: (found := rebuffs(lab)) and len(found) > 3 and found,
                 5, "lines in the timeline")
    where = f"{phone.urn} from tls 127.0.0.1:"
    for line, why in zip(lines, ("423 it asks for", "420 it requires",
                                 "401 wrong password", "403 wrong too often")):
        check(line.startswith(why) and where in line, line)
    check_equal(len(lines), 4, f"each once: {lines}")
    text = ask(lab, "call", lab.newest_call())[1]
    check("REGISTER refused" in text and "401 wrong password" in text, text)
    for word in ("420", "423", "401", "403"):
        lab.sipis.wait_log(f"100@demo.test cannot register from tls "
                           f"{phone.via}: {word} ")
    (inst,) = account(lab)["instances"]
    edge = inst["edge"]
    check_equal(edge["flows"], [], "its flows")
    check_equal((edge["refused"]["status"], edge["refused"]["transport"],
                 edge["refused"]["address"]), (403, "tls", phone.via), "why")
    text = ask(lab, "status")[1]
    check("not here; last heard of 20" in text, text)
    check(": 403 wrong too often" in text and f"from tls {phone.via}" in text,
          text)


def test_bounded(lab):
    """Whoever knows a user name fills neither a timeline nor the status, and
    nobody hears of accounts that are not there."""
    site(lab, wake_timeout_s=NEVER)
    known(lab, "why")
    waits(lab)
    for n in range(12):
        address = f"127.0.1.{n + 1}"
        for _ in range(3):
            liar = HandPhone(EDGE, "100", "tls", f"{lab.certs}/site-ca.pem",
                             name=f"liar{n}", address=address, password="?")
            check_equal(liar.register().status, 401, "of a liar")
            liar.close()
    lines = rebuffs(lab)
    check_equal(len(lines), 6, f"lines: {lines}")
    check("no further ones" in lines[-1], lines[-1])
    seen = account(lab)
    check_equal(len(seen["others"]["refused"]), 8, "in the status")
    check_equal(seen["instances"][0]["edge"]["refused"], None, "the phone's")
    liar = hand(lab, "liar")
    liar.urn = "urn:x:\x1b[2J"
    check_equal(liar.register(extra="Require: foo\r\n").status, 420, "foo")
    poll(lambda: "urn:x: [2J" in ask(lab, "status", "100")[1], 5,
         "a name without controls")
    nobody = hand(lab, "nobody", "999")
    check_equal(nobody.register().status, 403, "of nobody")
    lab.sipis.wait_log("999@demo.test cannot register")


def test_here(lab):
    """Which phone is here, over what, since when, until when."""
    site(lab)
    phone = here(lab, "stat")
    plain = hand(lab, "plain", transport="udp")
    check_equal(plain.register().status, 200, "one without the API")
    seen = account(lab)
    (flow,) = seen["instances"][0]["edge"]["flows"]
    check_equal((flow["transport"], flow["address"]), ("tls", phone.via),
                "its way")
    check(flow["since"] < flow["until"], f"{flow}")
    check_equal(seen["instances"][0]["edge"]["refused"], None, "refused")
    (other,) = seen["others"]["flows"]
    check_equal((other["transport"], other["address"]), ("udp", plain.via),
                "the other's way")
    check(other["contact"].startswith("sip:100@127.0.0.1:"), f"{other}")
    text = ask(lab, "status", "100")[1]
    check(f"here over tls {phone.via} since 20" in text, text)
    check(f"here over udp {plain.via} since 20" in text, text)

    # the same flow, though its binding is anew
    check_equal(phone.register().status, 200, "again")
    (again,) = account(lab)["instances"][0]["edge"]["flows"]
    check_equal(again["since"], flow["since"], "since")
    check(again["until"] >= flow["until"], f"{again}")
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 1, 5, "its end")
    check_equal(account(lab)["instances"][0]["edge"]["flows"], [], "gone")
    check("not here" in ask(lab, "status", "100")[1], "in words")


def test_stale(lab):
    """A phone whose port changes with each message answers for ever: from the
    fifth time on that is said."""
    site(lab, wake_timeout_s=NEVER)
    known(lab, "why")
    waits(lab)
    phone = hand(lab, "why", transport="udp")
    for n in range(7):
        challenge = phone.register_once()
        check_equal(challenge.status, 401, "no answer yet")
        phone.close()
        phone.connect()
        answer = phone.register_once(extra=phone.authorization(
            challenge, "REGISTER", "sip:demo.test"))
        check("stale=true" in answer.get("WWW-Authenticate"), answer.head)
        check_equal(len(rebuffs(lab)) if n < 3 else 0, 0, "a word of it")
    (line,) = poll(lambda: rebuffs(lab), 5, "a line in the timeline")
    check(line.startswith("401 it answers challenges that are old"), line)
    check_equal(phone.register().status, 200, "from one port")
