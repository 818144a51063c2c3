"""Phones that register at the edge: calls go through sipis both ways."""

from harness import check, check_equal, poll
from handphone import SDP, HandPhone, uuid_of

EDGE = ("127.0.0.1", 5071)
UDP = ("127.0.0.1", 5072)


def site(lab, transport="udp", edge=None, **pbx):
    """A PBX that forks not, so that only sipis can bring the call."""
    lab.kamailio("plain")
    over = {"edge": {"listen": ["tls:127.0.0.1:5071", "tcp:127.0.0.1:5072",
                                "udp:127.0.0.1:5072"],
                     "host": "localhost",
                     "certificate": f"{lab.certs}/sipis.pem",
                     "key": f"{lab.certs}/sipis.key", **(edge or {})}}
    return lab.daemons(transport, over=over, sip_port=5080,
                       pbx={"mode": "continuous", **pbx})


def at_edge(lab, name, **more):
    """The demo phone, whose registrar is the edge."""
    return lab.phone(name, options=(
        "--sip-registrar", "sip:127.0.0.1:5071;transport=tls",
        "--sip-name", "localhost",
        "--installation", f"urn:uuid:{uuid_of(name)}",
        *more.pop("options", ())), **more)


def known(lab, name, user="100"):
    """A phone that the API knows, and that will speak by hand."""
    token = name.encode().hex().rjust(64, "0")
    lab.fake.token(token)
    status, answer = lab.sipis.api().create(
        user, f"urn:uuid:{uuid_of(name)}", token)
    check_equal(status, 201, f"creation of {name}: {answer}")
    lab.wait_registered(user)
    return answer


def hand(lab, name, user="100", transport="tls", **more):
    phone = HandPhone(EDGE if transport == "tls" else UDP, user, transport,
                      f"{lab.certs}/site-ca.pem", name=name, **more)
    lab.at_end.append(phone.close)
    return phone


def here(lab, name, user="100", **more):
    known(lab, name, user)
    phone = hand(lab, name, user, **more)
    answer = phone.register()
    check_equal(answer.status, 200, f"REGISTER of {name}: {answer.head}")
    return phone


def answered(lab, caller, seconds=30):
    check_equal(caller.wait(seconds), 0, f"sipp's exit\n{caller.tail()}")
    (outcome,) = caller.results().values()
    check("200" in outcome, f"the caller was answered: {outcome}")


def test_asleep(lab):
    """A push wakes the phone, it registers at the edge over TLS and gets the
    original INVITE."""
    site(lab)
    phone = at_edge(lab, "phone")
    lab.wait_registered()
    caller = lab.caller(HOLD_MS=500)
    answered(lab, caller)
    phone.wait_step("ended")
    call = lab.sipis.call(lab.newest_call())
    check_equal(call["ended"], "answered", "the call's end")
    check_equal(len(lab.fake.requests(use="call")), 1, "pushes")
    check_equal(lab.pbx.registers("100")[-1]["expires"] != "0", True,
                "sipis stays registered")
    (sipis,) = lab.pbx.contacts("100")
    check(";sipis=" in sipis, f"the one binding at the PBX: {sipis}")


def test_flow_first(lab):
    """A phone that is connected gets the INVITE over its flow, untouched, and
    no push; ACK and BYE pass both ways."""
    site(lab)
    phone = here(lab, "flow")
    caller = lab.caller(HOLD_MS=20000)
    invite = phone.wait_request("INVITE")
    check(b"m=audio 40000 RTP/AVP 8 0" in invite.body, "the caller's SDP")
    check_equal(len(invite.all("Record-Route")), 3, "Record-Routes")
    phone.reply(invite, 180, "Ringing")
    phone.reply(invite, 200, body=SDP)
    ack = phone.wait_request("ACK")
    check_equal(ack.get("Call-ID"), invite.get("Call-ID"), "the ACK's call")
    check(not [r for r in ack.all("Route") if "localhost" in r],
          f"our Routes are gone: {ack.all('Route')}")
    phone.in_dialog(invite, "BYE", 1)
    check_equal(phone.wait_final("BYE").status, 200, "BYE of the phone")
    answered(lab, caller)
    check_equal(lab.fake.requests(use="call"), [], "pushes")
