"""Phones that register at the edge: calls go through sipis both ways."""

import hashlib
import re
import socket
import time
import urllib.request

from harness import check, check_equal, poll
from handphone import SDP, Call, HandPhone, routes_of, uuid_of
from sip import Caller, Udp

EDGE = ("127.0.0.1", 5071)
UDP = ("127.0.0.1", 5072)


def site(lab, transport="udp", edge=None, start=True, files=None, **pbx):
    """A PBX that forks not, so that only sipis can bring the call."""
    if start:
        lab.kamailio("plain")
    over = {"edge": {"listen": ["tls:127.0.0.1:5071", "tcp:127.0.0.1:5072",
                                "udp:127.0.0.1:5072"],
                     "host": "localhost",
                     "certificate": f"{lab.certs}/sipis.pem",
                     "key": f"{lab.certs}/sipis.key", **(edge or {})}}
    if files:
        over["files"] = files
    if transport == "tls":
        pbx = {"certificate": f"{lab.certs}/sipis.pem",
               "key": f"{lab.certs}/sipis.key", **pbx}
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


def is_called(lab, phone, routes):
    """All that there is to a call to a phone: so many Record-Routes."""
    caller = lab.caller(HOLD_MS=20000)
    invite = phone.wait_request("INVITE")
    check(b"m=audio 40000 RTP/AVP 8 0" in invite.body, "the caller's SDP")
    check_equal(len(routes_of(invite)), routes, "Record-Routes")
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


def flow_first(lab, transport, by="tls"):
    site(lab, transport)
    phone = here(lab, "flow", transport=by)
    # a PBX that changes the transport has two as well
    is_called(lab, phone, 3 if transport == "udp" else 4)


def test_flow_first(lab):
    """A phone that is connected gets the INVITE over its flow, untouched, and
    no push; ACK and BYE pass both ways."""
    flow_first(lab, "udp")


def test_flow_first_tcp(lab):
    flow_first(lab, "tcp", by="udp")


def test_flow_first_tls(lab):
    flow_first(lab, "tls", by="tcp")


def test_sha256(lab):
    """The PBX's own digest, whatever it is."""
    lab.kamailio("plain", defines=("WITH_SHA256",))
    site(lab, start=False)
    phone = hand(lab, "sha")
    known(lab, "sha")
    check_equal(phone.register().status, 200, "REGISTER")
    challenge = phone.register_once()
    check("SHA-256" in challenge.get("WWW-Authenticate"), "what is learned")
    lab.sipis.stop()
    lab.sipis.start()
    challenge = phone.connect().register_once()
    check("SHA-256" in challenge.get("WWW-Authenticate"), "after a restart")


def desk(lab, user="300"):
    """A phone that is registered at the PBX itself."""
    phone = HandPhone(("127.0.0.1", 5060), user, "udp", name=f"desk{user}",
                      address="127.0.0.7")
    lab.at_end.append(phone.close)
    answer = phone.register()
    check_equal(answer.status, 200, f"REGISTER at the PBX: {answer.head}")
    return phone


def route(transport):
    """What a phone is told to take for its outbound proxy."""
    port = 5071 if transport == "tls" else 5072
    return f"<sip:localhost:{port};transport={transport};lr>"


ROUTE = route("tls")


def calls(phone, other, way=None):
    """All that there is to a call of a phone."""
    call = Call(phone, "300", way)
    challenge = call.begin()
    check_equal(challenge.status, 407, "the PBX's own challenge")
    invite = other.wait_request("INVITE")
    check_equal(invite.body, SDP.encode(), "the phone's SDP")
    check_equal(len(routes_of(invite)), 3, "Record-Routes")
    other.reply(invite, 180, "Ringing")
    other.reply(invite, 200, body=SDP)
    check_equal(call.final().body, SDP.encode(), "the other's SDP")
    other.wait_request("ACK")
    other.in_dialog(invite, "UPDATE", 1)
    update = phone.wait_request("UPDATE")
    phone.reply(update, 200)
    check_equal(other.wait_final("UPDATE").status, 200, "UPDATE of the other")
    call.hang_up(other)


def outgoing(lab, transport):
    site(lab, decline="phone")
    calls(here(lab, "out", transport=transport), desk(lab), route(transport))


def test_outgoing_tls(lab):
    outgoing(lab, "tls")


def test_outgoing_tcp(lab):
    outgoing(lab, "tcp")


def test_outgoing_udp(lab):
    outgoing(lab, "udp")


def test_both_ends(lab):
    """Two phones of one sipis call each other through the PBX."""
    site(lab)
    caller = here(lab, "one")
    called = here(lab, "two", "101")
    call = Call(caller, "101", ROUTE)
    call.begin()
    invite = called.wait_request("INVITE")
    check_equal(len(routes_of(invite)), 5, "Record-Routes")
    called.reply(invite, 180, "Ringing")
    called.reply(invite, 200, body=SDP)
    check_equal(call.final().status, 200, "the answer")
    called.wait_request("ACK")
    called.in_dialog(invite, "BYE", 1)
    caller.reply(caller.wait_request("BYE"), 200)
    check_equal(called.wait_final("BYE").status, 200, "BYE")


def ringing(lab, *phones, hold=500):
    """A call that rings at all of these."""
    caller = lab.caller(HOLD_MS=hold)
    invites = [phone.wait_request("INVITE") for phone in phones]
    for phone, invite in zip(phones, invites):
        phone.reply(invite, 180, "Ringing", tag=phone.urn[-8:])
    return caller, invites


def refused(lab, caller, status):
    check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
    (outcome,) = caller.results().values()
    check(str(status) in outcome, f"the caller got {status}: {outcome}")


def test_decline(lab):
    site(lab)
    phone = here(lab, "no")
    caller, (invite,) = ringing(lab, phone)
    phone.reply(invite, 486, "Busy Here")
    phone.wait_request("ACK")
    refused(lab, caller, 486)
    poll(lambda: lab.sipis.call(lab.newest_call()).get("ended"), 5, "the end")
    check_equal(lab.sipis.call(lab.newest_call())["ended"], "declined", "end")


def test_decline_603(lab):
    """A 6xx would end the calls of phones that we do not know."""
    site(lab)
    phone = here(lab, "no")
    caller, (invite,) = ringing(lab, phone)
    phone.reply(invite, 603, "Decline")
    phone.wait_request("ACK")
    refused(lab, caller, 480)


def test_cancel(lab):
    site(lab)
    phone = here(lab, "quick")
    caller = Caller(("127.0.0.1", 5060)).invite()
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 180, "Ringing")
    check_equal(caller.hang_up(), 487, "the caller's end")
    cancel = phone.wait_request("CANCEL")
    check_equal(cancel.get("Via").split("branch=")[1].split(";")[0],
                invite.get("Via").split("branch=")[1].split(";")[0],
                "the branch of the CANCEL")
    phone.reply(cancel, 200)
    phone.reply(invite, 487, "Request Terminated")
    phone.wait_request("ACK")
    poll(lambda: lab.sipis.call(lab.newest_call()).get("ended"), 5, "the end")
    check_equal(lab.sipis.call(lab.newest_call())["ended"], "cancelled", "end")


def two_here(lab):
    return here(lab, "first"), here(lab, "second", transport="tcp")


def two(lab, **profile):
    site(lab, **profile)
    return two_here(lab)


def test_fork(lab):
    """Both ring, the first to answer gets the call."""
    first, second = two(lab)
    caller, (one, other) = ringing(lab, first, second)
    second.reply(other, 200, tag=second.urn[-8:], body=SDP)
    second.wait_request("ACK")
    cancel = first.wait_request("CANCEL")
    check("cause=200" in cancel.get("Reason"), f"{cancel.get('Reason')}")
    first.reply(cancel, 200)
    first.reply(one, 487, "Request Terminated", tag=first.urn[-8:])
    first.wait_request("ACK")
    second.reply(second.wait_request("BYE"), 200)
    answered(lab, caller)
    check_equal(lab.fake.requests(use="call"), [], "pushes")


def test_fork_crossing(lab):
    """The other one answers while our CANCEL is on its way: it hears BYE."""
    first, second = two(lab)
    caller, (one, other) = ringing(lab, first, second)
    second.reply(other, 200, tag=second.urn[-8:], body=SDP)
    first.reply(one, 200, tag=first.urn[-8:], body=SDP)
    first.wait_request("ACK")
    first.reply(first.wait_request("BYE"), 200)
    second.wait_request("ACK")
    second.reply(second.wait_request("BYE"), 200)
    answered(lab, caller)


def test_fork_decline(lab):
    """One declines, the other rings on and answers."""
    first, second = two(lab)
    caller, (one, other) = ringing(lab, first, second)
    first.reply(one, 486, "Busy Here", tag=first.urn[-8:])
    first.wait_request("ACK")
    second.reply(other, 200, tag=second.urn[-8:], body=SDP)
    second.wait_request("ACK")
    second.reply(second.wait_request("BYE"), 200)
    answered(lab, caller)


def test_fork_decline_account(lab):
    """decline: account: one declines for all."""
    first, second = two(lab, decline="account")
    caller, (one, other) = ringing(lab, first, second)
    first.reply(one, 486, "Busy Here", tag=first.urn[-8:])
    cancel = second.wait_request("CANCEL")
    second.reply(cancel, 200)
    second.reply(other, 487, "Request Terminated", tag=second.urn[-8:])
    refused(lab, caller, 486)


def test_push_after_silence(lab):
    """A flow that does not ring in 400 ms: a push, and the INVITE over the
    new flow."""
    site(lab)
    phone = here(lab, "dead")
    caller = lab.caller(HOLD_MS=300)
    invite = phone.wait_request("INVITE")
    poll(lambda: lab.fake.requests(use="call"), 5, "push")
    (push,) = lab.fake.requests(use="call")
    # by when it came to us: our own way to the phone may take its time
    check(push["answer_us"] >= lab.sipis.events(lab.newest_call())[
        ("pbx", "INVITE")] + 300000, "it came not sooner")
    phone.fresh()
    check_equal(phone.register().status, 200, "REGISTER again")
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 200, body=SDP)
    phone.wait_request("ACK")
    phone.reply(phone.wait_request("BYE"), 200)
    answered(lab, caller)


def started_again(lab, end, hold):
    """A call is up, sipis ends and starts, the phone is back."""
    site(lab)
    phone = here(lab, "alive")
    caller, (invite,) = ringing(lab, phone, hold=hold)
    phone.reply(invite, 200, tag=phone.urn[-8:], body=SDP)
    phone.wait_request("ACK")
    end(lab.sipis)
    lab.sipis.start()
    phone.connect()
    check_equal(phone.register().status, 200, "REGISTER again")
    return phone, caller, invite


def test_restart(lab):
    """A call that is up lives on when sipis is started again."""
    phone, caller, invite = started_again(
        lab, lambda sipis: sipis.stop(), hold=60000)
    phone.in_dialog(invite, "BYE", 1, tag=phone.urn[-8:])
    check_equal(phone.wait_final("BYE").status, 200, "BYE of the phone")
    answered(lab, caller)


def test_restart_pbx(lab):
    """The same, and the PBX hangs up."""
    phone, caller, _ = started_again(
        lab, lambda sipis: sipis.kill(), hold=4000)
    phone.reply(phone.wait_request("BYE"), 200)
    answered(lab, caller)


def test_strangers(lab):
    """Nothing is passed on for those who have not registered."""
    site(lab, edge={"bad_secrets_per_min": 3})
    mine = here(lab, "mine")
    for transport in ("tls", "tcp", "udp"):
        phone = hand(lab, "stranger", transport=transport)
        call = Call(phone, "300")
        call.invite()
        check_equal(phone.wait_final("INVITE").status, 403, "INVITE")
    phone = hand(lab, "nobody", user="999")
    check_equal(phone.register().status, 403, "an account that is not there")
    lab.sipis.wait_log("there is no such account")
    phone = hand(lab, "other", user="200")
    check_equal(phone.register(to="sip:100@demo.test").status, 403,
                "another's AOR")
    phone = hand(lab, "wrong", password="no")
    check_equal(phone.register().status, 401, "wrong password")
    check_equal(phone.register().status, 403, "too often")
    phone = hand(lab, "elsewhere", domain="foreign.test")
    check(phone.register().status in (401, 403), "a foreign domain")
    asked = "ASKED method=INVITE"
    check_equal(lab.pbx.log().count(asked), 0, "INVITEs at the PBX")
    call = Call(mine, "300", ROUTE)
    call.invite()
    check_equal(mine.wait_final("INVITE").status, 407, "who is none")
    poll(lambda: lab.pbx.log().count(asked) == 1, 5, "that one at the PBX")


def test_bearer(lab):
    """The instance's own credential, over TLS only."""
    site(lab)
    mine = known(lab, "sdk")
    phone = hand(lab, "anything")
    extra = f"Authorization: Bearer {mine['instance']}.{mine['secret']}\r\n"
    check_equal(phone.register_once(extra=extra).status, 200, "over TLS")
    wrong = extra.replace(mine["secret"][:4], "AAAA")
    check_equal(phone.register_once(extra=wrong).status, 401, "wrong secret")
    plain = hand(lab, "anything", transport="tcp")
    check_equal(plain.register_once(extra=extra).status, 401, "in the clear")
    caller, (invite,) = ringing(lab, phone)
    phone.reply(invite, 200, tag=phone.urn[-8:], body=SDP)
    phone.wait_request("ACK")
    phone.reply(phone.wait_request("BYE"), 200)
    answered(lab, caller)


def test_contacts(lab):
    """A new Call-ID at each waking piles nothing up."""
    site(lab)
    phone = here(lab, "often")
    for turn in range(5):
        phone.close()
        phone.call_id = f"again-{turn}"
        phone.connect()
        check_equal(phone.register().status, 200, "REGISTER")
    poll(lambda: metric(lab, "sipis_edge_bindings") == 1, 5, "one binding")
    poll(lambda: metric(lab, "sipis_edge_flows") == 1, 5, "one flow")
    check_equal(phone.register(expires=0).status, 200, "signing off")
    check_equal(metric(lab, "sipis_edge_bindings"), 0, "bindings")


def metric(lab, name):
    with urllib.request.urlopen(
            f"http://127.0.0.1:{lab.sipis.admin_port}/metrics") as answer:
        text = answer.read().decode()
    for line in text.splitlines():
        if line.startswith(name + " "):
            return int(line.split()[1])
    return None


PUSH = {"push": [{"app": "demo", "apns": "TEAMDEMO01.com.example.demo",
                  "fcm": "demo-project"}]}


def pn(token, provider="apns", param="TEAMDEMO01.com.example.demo.voip"):
    return f";pn-provider={provider};pn-param={param};pn-prid={token}"


def token_of(lab, name, **more):
    token = name.encode().hex().rjust(64, "0")
    lab.fake.token(token, **more)
    return token


def instances(lab, user="100"):
    return lab.sipis.account(user)["instances"]


def test_pn_unknown(lab):
    """What we cannot push to is refused in RFC 8599's words."""
    site(lab, edge=PUSH)
    known(lab, "first")
    phone = hand(lab, "rfc8599")
    for params in (pn("t", "nokia"), pn("t", "webpush"),
                   pn("t", param="OTHERTEAM0.org.other.voip"),
                   pn("t", "fcm", "other-project")):
        answer = phone.register(params=params)
        check_equal(answer.status, 555, params)
        check_equal(answer.all("Feature-Caps"),
                    ['*;+sip.pns="apns"', '*;+sip.pns="fcm"'], "what is there")
    # what a proxy on the way pushes is none of ours
    for params in (pn("t", "nokia"), pn("t")):
        answer = phone.register(
            params=params, extra='Feature-Caps: *;+sip.pns="other"\r\n')
        check_equal((answer.status, answer.all("Feature-Caps")), (200, []),
                    f"another proxy pushes it: {params}")
    check_equal(len(instances(lab)), 1, "instances")
    for params, told in ((";pn-provider=apns", ["apns"]),
                         (";pn-provider", ["apns", "fcm"])):
        answer = phone.register(params=params)
        check_equal(answer.status, 200, "a question")
        check_equal(answer.all("Feature-Caps"),
                    [f'*;+sip.pns="{name}"' for name in told], params)


def test_pn_wakes(lab):
    """A stock client's REGISTER makes the instance; asleep it gets the push,
    comes back and gets the INVITE."""
    site(lab, edge=PUSH)
    known(lab, "first")
    token = token_of(lab, "rfc8599")
    phone = hand(lab, "rfc8599")
    answer = phone.register(params=pn(token))
    check_equal(answer.status, 200, f"REGISTER: {answer.head}")
    check_equal(len(instances(lab)), 2, "instances")
    check_equal(phone.register(params=pn(token)).status, 200, "refresh")
    check_equal(len(instances(lab)), 2, "instances after the refresh")
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")
    caller = lab.caller(HOLD_MS=300)
    poll(lambda: len(lab.fake.requests(use="call")) == 2, 5,
         "pushes to both phones")
    phone.connect()
    check_equal(phone.register(params=pn(token)).status, 200, "awake")
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 200, body=SDP)
    phone.wait_request("ACK")
    phone.reply(phone.wait_request("BYE"), 200)
    answered(lab, caller)


def test_pn_linphone(lab):
    """Two tokens in one; VoIP pushes are for calls alone."""
    site(lab, edge=PUSH)
    known(lab, "first")
    voip = token_of(lab, "voip")
    alert = token_of(lab, "alert", topic="com.example.demo")
    phone = hand(lab, "linphone")
    params = pn(f"{alert}:remote&{voip}:voip",
                param="TEAMDEMO01.com.example.demo.remote&voip")
    check_equal(phone.register(params=params).status, 200, "REGISTER")
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")
    lab.gives_up(lambda: len(lab.fake.requests(use="call")) == 2,
                 "pushes to both phones")
    poll(lambda: lab.fake.requests(use="ended"), 5, "word of the end")
    (ended,) = lab.fake.requests(use="ended")
    check_equal((ended["topic"], ended["status"]),
                ("com.example.demo", 200), "it goes to the other token")
    check_equal(lab.fake.counters()["voip_misused"], 0, "VoIP misuse")


def test_pn_signs_off(lab):
    """Expires 0 with pn-*: no more pushes."""
    site(lab, edge=PUSH)
    known(lab, "first")
    token = token_of(lab, "rfc8599")
    phone = hand(lab, "rfc8599")
    check_equal(phone.register(params=pn(token)).status, 200, "REGISTER")
    check_equal(phone.register(expires=0, params=pn(token)).status, 200,
                "signing off")
    caller = lab.caller("canceller.xml", CANCEL_MS=1500, REASON="")
    check_equal(caller.wait(20), 0, "sipp's exit")
    check_equal(len(lab.fake.requests(use="call")), 1,
                "pushes: to the other phone alone")


def tokens_gone(lab, inst):
    """Of each token of that phone: is it gone?"""
    (phone,) = [i for i in instances(lab) if i["instance"] == inst]
    return [token["gone"] for token in phone["push"]]


def test_pn_ends(lab):
    """A phone that registers without pn-prid, or signs off, is not pushed
    any more over what its REGISTER had brought, also after a restart; what
    came over HTTPS stays."""
    site(lab, edge=PUSH)
    first = known(lab, "first")["instance"]
    stays = known(lab, "stays")["instance"]
    hand(lab, "stays").register()
    phone, whole = hand(lab, "rfc8599"), pn(token_of(lab, "rfc8599"))
    check_equal(phone.register(params=whole).status, 200, "REGISTER")
    (mine,) = {i["instance"] for i in instances(lab)} - {first, stays}

    def gone(yes, what):
        poll(lambda: tokens_gone(lab, mine) == [yes], 5, what)

    for params, expires, what in (("", 600, "without pn-*"),
                                  (";pn-provider=apns", 600, "a question"),
                                  ("", 0, "signing off"), (whole, 0, "so")):
        check_equal(phone.register(params=whole).status, 200, "again")
        gone(False, f"token again, before {what}")
        check_equal(phone.register(params=params, expires=expires).status,
                    200, what)
        gone(True, f"end of the token: {what}")
    check_equal(phone.register(params=whole).status, 200, "again")
    lab.sipis.kill()
    lab.sipis.start()
    phone.connect()
    check_equal(phone.register().status, 200, "after a restart")
    gone(True, "end of the token after a restart")
    check_equal((tokens_gone(lab, first), tokens_gone(lab, stays)),
                ([False], [False]), "what came over HTTPS")
    # here it is served all the same
    caller = lab.caller("canceller.xml", CANCEL_MS=1500, REASON="")
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 180, "Ringing")
    check_equal(caller.wait(20), 0, "sipp's exit")
    check_equal(len(lab.fake.requests(use="call")), 2,
                "pushes: to the two others")


def test_gruu(lab):
    """The GRUU of the account's binding goes to the phone that can use it; a
    call to it reaches the phone, and so does what follows."""
    lab.kamailio("plain", defines=("WITH_GRUU",))
    site(lab, start=False)
    phone, other = here(lab, "gruu"), desk(lab)
    supported = "Supported: gruu\r\n"
    found = re.search(r';pub-gruu="(sip:100@demo\.test;gr=urn:uuid:[-0-9a-f]+)"',
                      phone.register(extra=supported).get("Contact"))
    gruu = found.group(1)
    for extra, tags in (("", ""), ("", f';pub-gruu="{gruu}x"')):
        answer = phone.register(extra=extra, tags=tags)
        check("gruu" not in answer.get("Contact"), answer.head)
    call = Call(other, "100")
    call.uri = call.remote = gruu
    call.begin()
    invite = phone.wait_request("INVITE")
    check_equal(invite.uri, phone.contact, "whose it is")
    phone.reply(invite, 200, body=SDP, contact=False,
                extra=f"Contact: <{gruu}>\r\n")
    check_equal(call.final().status, 200, "the answer")
    check_equal(phone.wait_request("ACK").uri, gruu, "ACK")
    call.send("BYE")
    bye = phone.wait_request("BYE")
    check_equal(bye.uri, gruu, "BYE")
    phone.reply(bye, 200)
    check_equal(other.wait_final("BYE").status, 200, "its answer")
    call = Call(other, "100")
    call.uri = call.remote = gruu[:-1] + ("0" if gruu[-1] != "0" else "1")
    call.begin()
    check_equal(call.final().status, 480, "another instance's")


def up(lab, name, hold=60000):
    """A call that is up."""
    phone = here(lab, name)
    caller, (invite,) = ringing(lab, phone, hold=hold)
    phone.reply(invite, 200, tag=phone.urn[-8:], body=SDP)
    phone.wait_request("ACK")
    return phone, caller, invite


def test_away(lab):
    """The PBX hangs up while the phone changes its network: it is told once
    it is back."""
    site(lab)
    phone, caller, _ = up(lab, "moving", hold=1000)
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")
    poll(lambda: "BYE waits for its phone" in lab.sipis.log(), 5, "BYE")
    phone.connect()
    check_equal(phone.register().status, 200, "REGISTER again")
    phone.reply(phone.wait_request("BYE"), 200)
    answered(lab, caller)


def test_back_in_call(lab):
    """It hangs up before it has registered again: the token speaks for the
    call, and for nothing else."""
    site(lab)
    phone, caller, invite = up(lab, "back")
    lab.sipis.kill()
    lab.sipis.start()
    phone.connect()
    route = routes_of(invite)[0]
    call = Call(phone, "300", route)
    call.invite()
    check_equal(phone.wait_final("INVITE").status, 403, "a new call")
    phone.in_dialog(invite, "BYE", 1, tag=phone.urn[-8:])
    check_equal(phone.wait_final("BYE").status, 200, "BYE of the phone")
    answered(lab, caller)


def test_restart_ringing(lab):
    """sipis dies while the phone rings: its app is started anew, gets the same
    INVITE again, and answers it."""
    site(lab)
    phone = here(lab, "ring")
    caller, (invite,) = ringing(lab, phone)
    poll(lambda: ("sipis", "INVITE to phone")
         in lab.sipis.events(lab.newest_call()), 5, "the record")
    lab.sipis.kill()
    lab.sipis.start()
    phone.fresh()
    check_equal(phone.register().status, 200, "REGISTER again")
    again = phone.wait_request("INVITE")
    check_equal(again.get("Call-ID"), invite.get("Call-ID"), "the same call")
    check_equal(again.body, invite.body, "its body")
    phone.reply(again, 200, tag=phone.urn[-8:], body=SDP)
    phone.wait_request("ACK")
    phone.reply(phone.wait_request("BYE"), 200)
    answered(lab, caller)


def to_account(lab, method, extra="", body="", kind=""):
    """From the PBX, to the contact that it has of 100."""
    (contact,) = lab.pbx.contacts("100")
    pbx = HandPhone(("127.0.0.1", 5080), "300", "udp", name="pbx")
    lab.at_end.append(pbx.close)
    uri = re.search(r"sip:[^>;]+", contact).group(0)
    pbx.request(method, uri, "<sip:100@demo.test>", f"out-{pbx.via}", 1, "p",
                f"Contact: <{pbx.contact}>\r\n{extra}", body, kind=kind)
    return pbx


def status_of(pbx, method, status, what, seconds=10):
    check_equal(pbx.wait_final(method, seconds).status, status, what)


def test_message(lab):
    """A MESSAGE reaches the phones that are connected; the first that takes
    it answers for all."""
    site(lab)
    first, second = two_here(lab)
    sender = desk(lab)
    uri, text = "sip:100@demo.test", "hello\r\n"
    sender.request("MESSAGE", uri, f"<{uri}>", "m-1", 1, "s", body=text,
                   kind="text/plain")
    challenge = sender.wait_final("MESSAGE")
    sender.request("MESSAGE", uri, f"<{uri}>", "m-1", 2, "s",
                   sender.authorization(challenge, "MESSAGE", uri), text,
                   kind="text/plain")
    messages = [phone.wait_request("MESSAGE") for phone in (first, second)]
    for message in messages:
        check_equal(message.body, text.encode(), "the text")
    second.reply(messages[1], 415, "Unsupported Media Type", contact=False)
    first.reply(messages[0], 200, contact=False)
    check_equal(sender.wait_final("MESSAGE").status, 200, "the answer")


def test_message_refused(lab):
    """The best refusal goes up when all have refused; no 6xx."""
    site(lab)
    first, second = two_here(lab)
    for codes, status in (((415, 404), 404), ((603, 600), 480)):
        pbx = to_account(lab, "MESSAGE", body="x", kind="text/plain")
        for phone, code in zip((first, second), codes):
            phone.reply(phone.wait_request("MESSAGE"), code, contact=False)
        status_of(pbx, "MESSAGE", status, f"after {codes}")
        pbx.close()


def test_mwi(lab):
    """Word of the mailbox that nobody has asked for, to all that are here."""
    site(lab)
    phones = two_here(lab)
    text = "Messages-Waiting: yes\r\nVoice-Message: 2/0 (0/0)\r\n"
    pbx = to_account(lab, "NOTIFY", "Event: message-summary\r\n"
                     "Subscription-State: terminated\r\n", text,
                     "application/simple-message-summary")
    for phone in phones:
        notify = phone.wait_request("NOTIFY")
        check_equal((notify.get("Event"), notify.body),
                    ("message-summary", text.encode()), "what it says")
        phone.reply(notify, 200, contact=False)
    status_of(pbx, "NOTIFY", 200, "its answer")


def test_out_of_dialog(lab):
    """SUBSCRIBE of the PBX goes to the phone that registered last, and makes
    a dialog through us; OPTIONS is answered here."""
    site(lab)
    phone = two_here(lab)[1]
    pbx = to_account(lab, "SUBSCRIBE", "Event: dialog\r\nExpires: 60\r\n")
    subscribe = phone.wait_request("SUBSCRIBE")
    check_equal(len(routes_of(subscribe)), 2, "Record-Routes")
    check_equal(subscribe.uri, phone.contact, "whose it is")
    phone.reply(subscribe, 200, extra="Expires: 60\r\n")
    status_of(pbx, "SUBSCRIBE", 200, "its answer")
    phone.in_dialog(subscribe, "NOTIFY", 1, extra=NEWS)
    pbx.reply(pbx.wait_request("NOTIFY"), 200)
    check_equal(phone.wait_final("NOTIFY").status, 200, "NOTIFY")
    status_of(to_account(lab, "OPTIONS"), "OPTIONS", 200, "OPTIONS")
    check(phone.quiet(lambda m: not m.status and m.method == "OPTIONS"),
          "it stays here")


def test_nobody_there(lab):
    """While all phones sleep: nothing that makes a PBX drop the binding, and
    nothing that says that somebody has read it."""
    site(lab)
    known(lab, "sleeps")
    for method, status in (("OPTIONS", 200), ("NOTIFY", 200),
                           ("MESSAGE", 480), ("SUBSCRIBE", 480),
                           ("REFER", 480), ("INFO", 480), ("PUBLISH", 480),
                           ("REGISTER", 405)):
        status_of(to_account(lab, method), method, status, method)
    check_equal(lab.fake.requests(use="wake"), [], "pushes")


def ask(sender, method, extra):
    """To 100 by way of the PBX, which asks who that is."""
    uri = "sip:100@demo.test"
    call_id = f"ask-{method}-{sender.cseq}"
    sender.cseq += 1
    extra += f"Contact: <{sender.contact}>\r\n"
    sender.request(method, uri, f"<{uri}>", call_id, 1, "s", extra)
    challenge = sender.wait_final(method)
    check_equal(challenge.status, 407, "the PBX's own challenge")
    sender.request(method, uri, f"<{uri}>", call_id, 2, "s",
                   extra + sender.authorization(challenge, method, uri))


def test_through_pbx(lab):
    """The same by way of a PBX, which keeps its binding whatever we say."""
    site(lab)
    phone, sender = here(lab, "called"), desk(lab)
    about = {"NOTIFY": "Event: message-summary\r\n"
                       "Subscription-State: terminated\r\n",
             "SUBSCRIBE": "Event: dialog\r\nExpires: 60\r\n",
             "MESSAGE": ""}
    for method, extra in about.items():
        ask(sender, method, extra)
        request = phone.wait_request(method)
        phone.reply(request, 200, extra="Expires: 60\r\n")
        check_equal(sender.wait_final(method).status, 200, method)
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")
    for method, status in (("NOTIFY", 200), ("SUBSCRIBE", 480),
                           ("MESSAGE", 480)):
        ask(sender, method, about[method])
        check_equal(sender.wait_final(method).status, status, method)
    check_equal(len(lab.pbx.contacts("100")), 1, "the binding at the PBX")


def test_gone_meanwhile(lab):
    """The phone's connection ends before it has answered."""
    site(lab)
    phone = here(lab, "gone")
    for method, status in (("MESSAGE", 480), ("NOTIFY", 200),
                           ("SUBSCRIBE", 480)):
        pbx = to_account(lab, method)
        phone.wait_request(method)
        phone.close()
        status_of(pbx, method, status, method)
        phone.connect()
        check_equal(phone.register().status, 200, "REGISTER again")


class Forking:
    """A PBX that sends one INVITE to sipis on two branches."""

    def __init__(self, lab, name, user="100"):
        (contact,) = lab.pbx.contacts(user)
        self.to = f"<sip:{user}@demo.test>"
        self.uri = re.search(r"sip:[^>;]+", contact).group(0)
        self.hand = HandPhone(("127.0.0.1", 5080), "200", "udp", name=name)
        lab.at_end.append(self.hand.close)
        self.call_id = f"fork-{self.hand.via}"

    def say(self, method, branch, to=None, extra=""):
        return self.hand.request(
            method, self.uri, to or self.to, self.call_id, 1, "f",
            f"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKinner-{branch}\r\n"
            f"Contact: <{self.hand.contact}>\r\n{extra}",
            SDP if method == "INVITE" else "", branch=f"z9hG4bK{branch}")

    def hears(self, method, status, branch):
        def fits(m):
            return (m.method, m.status) == (method, status) and \
                f"branch=z9hG4bK{branch}" in m.all("Via")[0]
        return self.hand.wait(fits, 10, f"{status} to {method} {branch}")

    def cancel(self, branch):
        self.say("CANCEL", branch)
        self.hears("CANCEL", 200, branch)
        answer = self.hears("INVITE", 487, branch)
        self.say("ACK", branch, to=answer.get("To"))


def test_branch_cancelled(lab):
    """The PBX cancels the branch whose INVITE a phone has, and waits on
    another: the phone rings on, and its answer goes there."""
    site(lab)
    phone = here(lab, "rings")
    pbx = Forking(lab, "forking")
    pbx.say("INVITE", "one")
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 180, "Ringing")
    pbx.hears("INVITE", 180, "one")
    pbx.say("INVITE", "two")
    pbx.hears("INVITE", 180, "two")
    pbx.cancel("one")
    phone.reply(invite, 183, "Session Progress", body=SDP)
    pbx.hears("INVITE", 183, "two")
    phone.reply(invite, 200, body=SDP)
    answer = pbx.hears("INVITE", 200, "two")
    check_equal([via.split("branch=")[1].split(";")[0]
                 for via in answer.all("Via")],
                ["z9hG4bKtwo", "z9hG4bKinner-two"], "its Vias")
    check_equal(len(routes_of(answer)), 2, "Record-Routes")
    phone.in_dialog(invite, "BYE", 1)
    pbx.hand.reply(pbx.hand.wait_request("BYE"), 200)
    check_equal(phone.wait_final("BYE").status, 200, "BYE")
    check(phone.quiet(lambda m: m.method in ("CANCEL", "INVITE")
                      and not m.status), "nothing else")
    check_equal(lab.sipis.call(lab.newest_call())["ended"], "answered", "end")


def test_branch_declined(lab):
    """The same, and the phone declines; then both are cancelled."""
    site(lab)
    phone = here(lab, "rings")
    pbx = Forking(lab, "forking")
    pbx.say("INVITE", "one")
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 180, "Ringing")
    pbx.say("INVITE", "two")
    pbx.hears("INVITE", 180, "two")
    pbx.cancel("one")
    phone.reply(invite, 486, "Busy Here")
    phone.wait_request("ACK")
    answer = pbx.hears("INVITE", 486, "two")
    check("inner-two" in answer.all("Via")[1], f"its Vias: {answer.head}")
    pbx.say("ACK", "two", to=answer.get("To"))

    pbx = Forking(lab, "again")
    pbx.say("INVITE", "three")
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 180, "Ringing")
    pbx.say("INVITE", "four")
    pbx.hears("INVITE", 180, "four")
    pbx.cancel("four")
    pbx.cancel("three")
    cancel = phone.wait_request("CANCEL")
    phone.reply(cancel, 200)
    phone.reply(invite, 487, "Request Terminated")
    phone.wait_request("ACK")
    poll(lambda: lab.sipis.call(lab.newest_call()).get("ended"), 5, "the end")
    check_equal(lab.sipis.call(lab.newest_call())["ended"], "cancelled", "end")


def test_only_its_pbx(lab):
    """A phone reaches its PBX through us and nothing else."""
    site(lab)
    phone = here(lab, "curious")
    elsewhere = Udp("127.0.0.66", 5090)
    where = "%s:%d" % elsewhere.sock.getsockname()
    for uri, routes in ((f"sip:x@{where}", ()),
                        ("sip:x@demo.test", (f"<sip:{where};lr>",)),
                        (f"sip:x@{where}", (f"<sip:{where};lr>",))):
        call = Call(phone, "x", ROUTE)
        call.remote = call.uri = uri
        call.routes += routes
        call.invite()
        answer = phone.wait_final("INVITE")
        call.ack(answer)
        check(answer.status in (403, 407), f"{uri} {routes}: {answer}")
    check(elsewhere.answer(0.3) is None, "nothing went elsewhere")


def test_hops(lab):
    site(lab)
    phone = here(lab, "round")
    for vias, hops, status in (([], 0, 483), (["127.0.0.1:5071"] * 4, 70, 482),
                               (["10.0.0.1"] * 4, 70, 407)):
        lines = "".join(f"Via: SIP/2.0/TLS {via};branch=z9hG4bKold{n}\r\n"
                        for n, via in enumerate(vias))
        phone.send("INVITE sip:300@demo.test SIP/2.0\r\n"
                   f"Via: SIP/2.0/TLS {phone.via};branch=z9hG4bK{status};rport"
                   f"\r\n{lines}Via: SIP/2.0/TLS 127.0.0.1:5071;branch=z9hG4bK"
                   f"x\r\nMax-Forwards: {hops}\r\nFrom: <{phone.aor}>;tag=1\r\n"
                   f"To: <sip:300@demo.test>\r\nCall-ID: hops-{status}\r\n"
                   f"CSeq: 1 INVITE\r\nContact: <{phone.contact}>\r\n"
                   "Content-Length: 0\r\n\r\n")
        check_equal(phone.wait_final("INVITE").status, status, f"{vias} {hops}")


def test_flood(lab):
    """Strangers are answered so often and no more; phones pay nothing."""
    site(lab, edge={"requests_per_second": 20})
    known(lab, "mine")
    stranger = hand(lab, "stranger", transport="udp", address="127.0.0.8")
    began = time.monotonic()

    def asks(call_id):
        stranger.request("OPTIONS", "sip:100@demo.test",
                         "<sip:100@demo.test>", call_id, 1, "t")

    def limited():
        # as many at a time as a socket holds unread
        for number in range(50):
            asks(f"flood-{number}-{time.monotonic_ns()}")
        return metric(lab, "sipis_edge_limited_total") > 300
    asks("flood")
    check_equal(stranger.wait_final("OPTIONS").status, 403, "one of it")
    poll(limited, 10, "limit")
    answers = 1 + len(stranger.heard())
    most = 40 + 20 * (time.monotonic() - began)
    check(answers <= most + 1, f"{answers} answers, {most:.1f} allowed")
    phone = hand(lab, "mine", address="127.0.0.3")
    check_equal(phone.register().status, 200, "an honest phone")
    for number in range(100):
        phone.request("OPTIONS", "sip:300@demo.test", "<sip:300@demo.test>",
                      f"mine-{number}", 1, "t")
    for _ in range(100):
        check(phone.wait_final("OPTIONS").status != 403, "it is at home")


def test_garbage(lab):
    """Nothing that comes in ends the daemon, or its speed."""
    site(lab)
    known(lab, "mine")
    whole = (b"REGISTER sip:demo.test SIP/2.0\r\n"
             b"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKg\r\n"
             b"From: <sip:100@demo.test>;tag=1\r\nTo: <sip:100@demo.test>\r\n"
             b"Call-ID: g\r\nCSeq: 1 REGISTER\r\nContact: <sip:a@b>\r\n"
             b"Authorization: Digest username=\"100\", realm=\"demo.test\", "
             b"nonce=\"x\", uri=\"sip:b\", response=\"y\"\r\n"
             b"Content-Length: 0\r\n\r\n")
    udp = Udp("127.0.0.8")
    for cut in range(0, len(whole), 3):
        udp.send(whole[:cut], UDP)
        udp.send(whole[:cut] + b"\x00\xff;\"<%" + whole[cut + 5:], UDP)
    for transport in ("tcp", "tls"):
        for cut in range(1, len(whole), 60):
            phone = hand(lab, "cut", transport=transport,
                         address="127.0.0.8")
            phone.send(whole[:cut] + b"\x00\xff\r\n\r\n\r\n\r\n")
            phone.close()
    phone = hand(lab, "mine", address="127.0.0.3")
    check_equal(phone.register().status, 200, "an honest phone")


def test_standard(lab):
    """An app that says what it does, and opens a flow only for its calls."""
    site(lab, mode="standard", handover="relay")
    phone = at_edge(lab, "phone")
    lab.wait_registered()
    for turn in (1, 2):
        caller = lab.caller(HOLD_MS=300)
        answered(lab, caller)
        phone.wait_step("ended", count=turn)
        phone.wait_step("asleep", count=turn + 1)
        lab.wait_registered()
    check_equal(len(lab.fake.requests(use="call")), 2, "pushes")


def test_where(lab):
    """The API tells an app where to open its flow for a call."""
    site(lab, mode="standard", handover="relay")
    _, mine = lab.sipis.api().create("100", "where", token_of(lab, "where"))
    path = f"/v1/instances/{mine['instance']}"
    status, _ = lab.sipis.api().request(
        "PUT", f"{path}/state", {"state": "inactive"}, secret=mine["secret"])
    check_equal(status, 200, "falling asleep")
    lab.wait_registered()
    caller = lab.caller("canceller.xml", CANCEL_MS=3000, REASON="")
    poll(lambda: lab.fake.requests(use="call"), 5, "push")
    status, said = lab.sipis.api().request(
        "PUT", f"{path}/state", {"state": "active"}, secret=mine["secret"])
    check_equal(status, 200, f"word of the app: {said}")
    (call,) = said["calls"]
    check_equal((call["handover"], call["edge"]),
                ("relay", "tls:localhost:5071"), "where")
    status, said = lab.sipis.api().request(
        "GET", f"{path}/calls/{call['call']}", secret=mine["secret"])
    check_equal(said["edge"], "tls:localhost:5071", "the call by itself")
    check_equal(caller.wait(20), 0, "sipp's exit")


def test_deleted(lab):
    """The account goes, and with it the way to the PBX."""
    site(lab)
    mine = known(lab, "mine")
    phone = hand(lab, "mine")
    check_equal(phone.register().status, 200, "REGISTER")
    status, _ = lab.sipis.api().request(
        "DELETE", f"/v1/instances/{mine['instance']}", secret=mine["secret"])
    check_equal(status, 204, "DELETE")
    poll(lambda: lab.sipis.account("100") is None, 5, "end of the account")
    call = Call(phone, "300")
    call.invite()
    check_equal(phone.wait_final("INVITE").status, 403, "a call")
    check_equal(phone.register().status, 403, "REGISTER again")


def test_deleted_one(lab):
    """One phone goes, its account lives: its way in ends at once."""
    site(lab)
    mine, other = known(lab, "mine"), here(lab, "other")
    phone = hand(lab, "mine")
    check_equal(phone.register().status, 200, "REGISTER")
    check_equal(metric(lab, "sipis_edge_bindings"), 2, "bindings")
    status, _ = lab.sipis.api().request(
        "DELETE", f"/v1/instances/{mine['instance']}", secret=mine["secret"])
    check_equal(status, 204, "DELETE")
    poll(lambda: metric(lab, "sipis_edge_bindings") == 1, 5, "one binding")
    call = Call(phone, "300")
    call.invite()
    check_equal(phone.wait_final("INVITE").status, 403, "a call")
    call = Call(other, "300")
    call.invite()
    check_equal(other.wait_final("INVITE").status, 407, "the other's call")


def two_tokens(lab, name):
    """As Linphone says it: one for VoIP, one for the rest."""
    voip = token_of(lab, f"v-{name}")
    alert = token_of(lab, f"a-{name}", topic="com.example.demo")
    return pn(f"{alert}:remote&{voip}:voip",
              param="TEAMDEMO01.com.example.demo.remote&voip")


def test_pn_refresh(lab):
    """Who has not refreshed in time is woken before its registration runs
    out, by a quiet push, and only while it sleeps; who can refresh by itself
    hears by when."""
    site(lab, edge={**PUSH, "expires_s": 600})
    known(lab, "first")
    names = ("awake", "off", "asleep", "late")
    awake, off, asleep, late = phones = [hand(lab, name) for name in names]
    two = {phone: two_tokens(lab, name) for phone, name in zip(phones, names)}
    # VoIP pushes are for calls alone
    quiet = hand(lab, "quiet")
    two[quiet] = pn(token_of(lab, "quiet"))
    itself = ";+sip.pnsreg"
    for phone, tags, expires, told in (
            (late, itself, 600, ';+sip.pnsreg="225"'), (late, "", 600, ""),
            (quiet, itself, 600, ';+sip.pnsreg="225"'), (quiet, "", 60, ""),
            # so short that we do it
            (late, itself, 60, ""), (awake, "", 60, ""),
            (asleep, "", 60, ""), (off, "", 60, "")):
        answer = phone.register(params=two[phone], tags=tags, expires=expires)
        check_equal(answer.all("Feature-Caps"), [f'*;+sip.pns="apns"{told}'],
                    f"what it is told, for {expires} s")
    check_equal(off.register(expires=0, params=two[off]).status, 200, "end")
    for phone in (asleep, late, quiet, off):
        phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 1, 5, "end of the flows")
    poll(lambda: len(lab.fake.requests(use="wake")) == 2, 45, "pushes")
    for push in (pushes := lab.fake.requests(use="wake")):
        check_equal((push["topic"], push["push_type"], push["status"]),
                    ("com.example.demo", "background", 200), "a quiet one")
    check_equal({push["token"] for push in pushes}, {hashlib.sha256(
        token_of(lab, f"a-{name}", topic="com.example.demo").encode())
        .hexdigest()[:8] for name in ("asleep", "late")}, "whose")
    asleep.connect()
    check_equal(asleep.register(params=two[asleep]).status, 200,
                "REGISTER again")
    check_equal(metric(lab, "sipis_edge_refreshes_total"), 2, "pushes")
    check_equal(lab.fake.counters()["voip_misused"], 0, "VoIP misuse")


TIMER = "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n"


def talking(lab, extra=""):
    """The phone has called a desk, which has answered."""
    site(lab)
    phone, other = here(lab, "talks"), desk(lab)
    call = Call(phone, "300", ROUTE, extra=extra)
    invite, _ = call.taken_by(other, extra=extra)
    return phone, other, call, invite


def test_prack(lab):
    """A reliable 183 of the phone is acknowledged before the call is up."""
    site(lab)
    phone, caller = here(lab, "early"), desk(lab)
    call = Call(caller, "100", extra="Supported: 100rel\r\n")
    call.begin()
    invite = phone.wait_request("INVITE")
    check_equal(invite.get("Supported"), "100rel", "what the caller can")
    phone.reply(invite, 183, "Session Progress", body=SDP,
                extra="Require: 100rel\r\nRSeq: 7\r\n")
    early = caller.wait(lambda m: m.status == 183, 10, "183")
    check_equal((early.get("Require"), early.get("RSeq")), ("100rel", "7"),
                "its reliability")
    call.follow(early)
    call.send("PRACK", cseq=call.cseq + 1,
              extra=f"RAck: 7 {call.cseq} INVITE\r\n")
    prack = phone.wait_request("PRACK")
    check_equal(prack.get("RAck"), f"7 {call.cseq} INVITE", "RAck")
    phone.reply(prack, 200)
    check_equal(caller.wait_final("PRACK").status, 200, "PRACK")
    phone.reply(invite, 200, body=SDP)
    check_equal(call.final().status, 200, "the answer")
    phone.wait_request("ACK")
    call.cseq += 1
    call.send("BYE")
    phone.reply(phone.wait_request("BYE"), 200)
    check_equal(caller.wait_final("BYE").status, 200, "BYE")


def test_session_timer(lab):
    """A session is refreshed by either side."""
    phone, other, call, invite = talking(lab, TIMER)
    check_equal(invite.get("Session-Expires"), "1800;refresher=uac", "timer")
    check_equal(call.answer.get("Session-Expires"), "1800;refresher=uac",
                "and its answer")
    call.invite()
    again = other.wait_request("INVITE")
    check_equal((again.get("Session-Expires"), again.body),
                ("1800;refresher=uac", SDP.encode()), "re-INVITE")
    other.reply(again, 200, body=SDP, extra=TIMER)
    check_equal(call.final().status, 200, "its answer")
    other.wait_request("ACK")
    other.in_dialog(invite, "INVITE", 1, body=SDP, extra=TIMER)
    back = phone.wait_request("INVITE")
    check_equal(back.get("Session-Expires"), "1800;refresher=uac",
                "re-INVITE of the other")
    phone.reply(back, 200, body=SDP, extra=TIMER)
    check_equal(other.wait_final("INVITE").status, 200, "its answer")
    other.in_dialog(invite, "ACK", 1)
    phone.wait_request("ACK")
    call.send("BYE")
    other.reply(other.wait_request("BYE"), 200)
    check_equal(phone.wait_final("BYE").status, 200, "BYE")


def told(sender, receiver, invite, what, cseq):
    """NOTIFY in the dialog that invite began."""
    sender.in_dialog(invite, "NOTIFY", cseq, extra=what)
    notify = receiver.wait_request("NOTIFY")
    check(what.split("\r\n")[0] in notify.head, f"{notify.head}")
    receiver.reply(notify, 200)
    check_equal(sender.wait_final("NOTIFY").status, 200, "NOTIFY")


def test_refer(lab):
    """Either side sends the other elsewhere, and hears what came of it."""
    phone, other, call, invite = talking(lab)
    target = "Refer-To: <sip:200@demo.test>\r\n"
    event = "Event: refer\r\nSubscription-State: active\r\n"
    call.send("REFER", extra=target)
    refer = other.wait_request("REFER")
    check_equal(refer.get("Refer-To"), "<sip:200@demo.test>", "Refer-To")
    other.reply(refer, 202, "Accepted")
    check_equal(phone.wait_final("REFER").status, 202, "REFER")
    told(other, phone, invite, event, 1)
    other.in_dialog(invite, "REFER", 2, extra=target)
    refer = phone.wait_request("REFER")
    check_equal(refer.get("Refer-To"), "<sip:200@demo.test>", "Refer-To")
    phone.reply(refer, 202, "Accepted")
    check_equal(other.wait_final("REFER").status, 202, "REFER of the other")
    call.send("NOTIFY", extra=event)
    notify = other.wait_request("NOTIFY")
    check_equal(notify.get("Event"), "refer", "NOTIFY of the phone")
    other.reply(notify, 200)
    check_equal(phone.wait_final("NOTIFY").status, 200, "its answer")


def test_subscribe(lab):
    """A phone's subscription, its refresh, and what it is told."""
    site(lab)
    phone, other = here(lab, "watches"), desk(lab)
    call = Call(phone, "300", ROUTE)
    extra = "Event: dialog\r\nExpires: 600\r\n"
    call.send("SUBSCRIBE", extra=extra)
    challenge = phone.wait_final("SUBSCRIBE")
    check_equal(challenge.status, 407, "the PBX's own challenge")
    call.send("SUBSCRIBE", extra=extra + phone.authorization(
        challenge, "SUBSCRIBE", call.uri))
    subscribe = other.wait_request("SUBSCRIBE")
    check_equal((subscribe.get("Event"), len(routes_of(subscribe))),
                ("dialog", 3), "SUBSCRIBE")
    other.reply(subscribe, 200, extra="Expires: 600\r\n")
    call.follow(phone.wait_final("SUBSCRIBE"))
    event = "Event: dialog\r\nSubscription-State: active\r\n"
    told(other, phone, subscribe, event, 1)
    call.send("SUBSCRIBE", extra=extra)
    other.reply(other.wait_request("SUBSCRIBE"), 200)
    check_equal(phone.wait_final("SUBSCRIBE").status, 200, "refresh")
    told(other, phone, subscribe, event, 2)


PURR = r'^\*;\+sip\.pns="apns";\+sip\.pnspurr="([0-9a-f]{36})"$'


def purr_of(phone, params, tags=";+sip.pnspurr"):
    """What it is given for the Contact of its dialogs, or None."""
    answer = phone.register(params=params, tags=tags)
    check_equal(answer.status, 200, f"REGISTER: {answer.head}")
    found = re.match(PURR, answer.all("Feature-Caps")[0])
    return found.group(1) if found else None


def same_purr(one, other):
    """Each day has its own."""
    return one[:4] != other[:4] or one == other


def watching(lab, phone, other,
             route=ROUTE):
    """The phone's subscription, as it came to the other."""
    call = Call(phone, "300", route)
    extra = "Event: dialog\r\nExpires: 600\r\n"
    call.send("SUBSCRIBE", extra=extra)
    challenge = phone.wait_final("SUBSCRIBE")
    call.send("SUBSCRIBE", extra=extra + phone.authorization(
        challenge, "SUBSCRIBE", call.uri))
    subscribe = other.wait_request("SUBSCRIBE")
    other.reply(subscribe, 200, extra="Expires: 600\r\n")
    check_equal(phone.wait_final("SUBSCRIBE").status, 200, "SUBSCRIBE")
    return subscribe


def asleep(lab, *phones):
    for phone in phones:
        phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flows")


NEWS = "Event: dialog\r\nSubscription-State: active\r\n"


def test_purr(lab):
    """RFC 8599, section 6: what comes in a dialog of a sleeping phone wakes
    it, once and quietly, and reaches it then, in its order."""
    site(lab, edge=PUSH)
    known(lab, "first")
    phone, quiet, other = hand(lab, "long"), hand(lab, "quiet"), desk(lab)
    two = two_tokens(lab, "long")
    check_equal(purr_of(phone, two, tags=""), None, "not asked for")
    check_equal(purr_of(quiet, pn(token_of(lab, "quiet"))), None, "VoIP alone")
    phone.purr = purr_of(phone, two)
    check(phone.purr, "what it is given")
    subscribe = watching(lab, phone, other)
    check(f";pn-purr={phone.purr}>" in subscribe.get("Contact"), "it passes")
    asleep(lab, phone, quiet)
    for cseq in (1, 2):
        other.in_dialog(subscribe, "NOTIFY", cseq, extra=NEWS)
    poll(lambda: lab.fake.requests(use="wake"), 5, "push")
    phone.connect()
    check(same_purr(purr_of(phone, two), phone.purr), "it stays")
    for cseq in (1, 2):
        notify = phone.wait_request("NOTIFY")
        check_equal(notify.cseq, f"{cseq} NOTIFY", "their order")
        phone.reply(notify, 200)
        check_equal(other.wait_final("NOTIFY").status, 200, "its answer")
    (push,) = lab.fake.requests(use="wake")
    check_equal((push["topic"], push["push_type"], push["status"]),
                ("com.example.demo", "background", 200), "a quiet one")
    check_equal(lab.fake.counters()["voip_misused"], 0, "VoIP misuse")
    check_equal(metric(lab, "sipis_edge_wakes_total"), 1, "pushes")


def test_purr_restart(lab):
    """It is good after a restart, for all that a dialog may bring."""
    site(lab, edge=PUSH)
    known(lab, "first")
    phone, other = hand(lab, "long"), desk(lab)
    two = two_tokens(lab, "long")
    phone.purr = purr_of(phone, two)
    invite, _ = Call(phone, "300", ROUTE).taken_by(other)
    phone.close()
    lab.sipis.kill()
    lab.sipis.start()
    other.in_dialog(invite, "INVITE", 1, body=SDP)
    poll(lambda: lab.fake.requests(use="wake"), 5, "push")
    phone.connect()
    check(same_purr(purr_of(phone, two), phone.purr), "it stays")
    again = phone.wait_request("INVITE")
    phone.reply(again, 200, body=SDP)
    check_equal(other.wait_final("INVITE").status, 200, "its answer")
    other.in_dialog(invite, "ACK", 1)
    phone.wait_request("ACK")
    other.in_dialog(invite, "BYE", 2)
    phone.reply(phone.wait_request("BYE"), 200)
    check_equal(other.wait_final("BYE").status, 200, "BYE")


class Pbx:
    """The PBX itself, which waits as long as RFC 3261 says."""

    def __init__(self, lab):
        self.hand = HandPhone(("127.0.0.1", 5080), "300", "udp", name="pbx")
        lab.at_end.append(self.hand.close)

    def say(self, method, begun, cseq, extra=""):
        """In the dialog that this request of a phone began."""
        routes = "".join(f"Route: {r}\r\n" for r in routes_of(begun)
                         if ":5080" in r or "localhost" in r)
        target = re.search(r"<([^>]+)>", begun.get("Contact")).group(1)
        self.hand.request(method, target, begun.get("From"),
                          begun.get("Call-ID"), cseq, "hand", routes + extra)

    def hears(self, method, status, seconds):
        self.hand.wait(lambda m: (m.method, m.status) == (method, status),
                       seconds, f"{status} to {method}")


def test_purr_dead(lab):
    """A phone that does not come: 480 before its sender gives up, and no
    second push; one that has not asked for it is not pushed at all."""
    site(lab, edge=PUSH)
    known(lab, "first")
    phone, plain, other = hand(lab, "long"), hand(lab, "plain"), desk(lab)
    purr = purr_of(plain, two_tokens(lab, "plain"))
    plain.purr = purr[:-1] + ("0" if purr[-1] != "0" else "1")
    phone.purr = purr_of(phone, two_tokens(lab, "long"))
    never, subscribe = watching(lab, plain, other), watching(lab, phone, other)
    asleep(lab, phone, plain)
    pbx = Pbx(lab)
    pbx.say("NOTIFY", never, 1, NEWS)
    pbx.hears("NOTIFY", 100, 5)
    pbx.hears("NOTIFY", 480, 12)
    check_equal(lab.fake.requests(use="wake"), [], "pushes")
    pbx.say("NOTIFY", subscribe, 1, NEWS)
    pbx.hears("NOTIFY", 480, 30)
    pbx.say("INVITE", subscribe, 2)
    pbx.hears("INVITE", 100, 5)
    lab.sipis.wait_log("INVITE waits for its phone, 60000 ms at most")
    check_equal(metric(lab, "sipis_edge_wakes_total"), 1, "pushes")


def test_purr_gone(lab):
    """A token that is dead wakes nobody: no longer than without a push."""
    site(lab, edge=PUSH)
    known(lab, "first")
    phone, other = hand(lab, "long"), desk(lab)
    phone.purr = purr_of(phone, two_tokens(lab, "long"))
    subscribe = watching(lab, phone, other)
    asleep(lab, phone)
    token_of(lab, "a-long", topic="com.example.demo", state="unregistered")
    pbx = Pbx(lab)
    pbx.say("NOTIFY", subscribe, 1, NEWS)
    lab.sipis.wait_log("token_gone")
    pbx.hears("NOTIFY", 480, 12)


def test_stop_busy(lab):
    """It ends in order while everything is under way."""
    site(lab, edge=PUSH)
    known(lab, "first")
    phone, gone, other = hand(lab, "busy"), hand(lab, "gone"), desk(lab)
    purr_of(phone, two_tokens(lab, "busy"))
    gone.purr = purr_of(gone, two_tokens(lab, "gone"))
    subscribe = watching(lab, gone, other)
    gone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 1, 5, "end of the flow")
    Pbx(lab).say("NOTIFY", subscribe, 1, NEWS)
    lab.sipis.wait_log("NOTIFY waits for its phone")
    call = Call(phone, "300", ROUTE)
    call.begin()
    other.wait_request("INVITE")
    to_account(lab, "MESSAGE", body="x", kind="text/plain")
    phone.wait_request("MESSAGE")
    ringing(lab, phone)
    phone.register_once(expires=300)
    check_equal(lab.sipis.stop(), 0, "its exit")


class Crowd:
    """Connections that say nothing, from one address."""

    def __init__(self, lab, address):
        self.address, self.socks = address, []
        lab.at_end.append(self.close)

    def connect(self, port=5072):
        sock = socket.create_connection(("127.0.0.1", port), 5,
                                        source_address=(self.address, 0))
        self.socks.append(sock)
        return sock

    def close(self):
        for sock in self.socks:
            sock.close()
        self.socks = []


def is_closed(sock, seconds):
    """By the other side, within that time."""
    sock.settimeout(seconds)
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_connections(lab):
    """So many of an address, and no more: those of phones do not count."""
    site(lab, edge={"connections_per_address": 4})
    known(lab, "first")
    phones = [hand(lab, f"p{n}", transport=transport, address="127.0.0.8")
              for n, transport in enumerate(("tls", "tcp", "tls"))]
    for phone in phones:
        check_equal(phone.register().status, 200, "REGISTER")
    crowd = Crowd(lab, "127.0.0.8")
    # a port takes them in their order; the others' places are taken then
    socks = [crowd.connect() for _ in range(4)]
    for port in (5072, 5071, 5072):
        check(is_closed(crowd.connect(port), 5), "one too many")
    poll(lambda: metric(lab, "sipis_edge_turned_away_total") == 3, 5, "count")
    check(not any(is_closed(sock, 0.05) for sock in socks), "the others stay")
    check(not is_closed(Crowd(lab, "127.0.0.66").connect(), 0.05),
          "another address")
    for phone in phones:
        check_equal(phone.register().status, 200, "REGISTER again")
    lab.sipis.wait_log("4 connections of 127.0.0.8")
    check_equal(lab.sipis.log().count("connections of 127.0.0.8"), 1, "lines")
    socks[0].close()
    poll(lambda: not is_closed(crowd.connect(), 0.2), 5, "room for one")


def test_descriptors(lab):
    """They run out: whoever connects is sent away, the rest goes on."""
    site(lab, edge={"connections_per_address": 100000}, files=256)
    known(lab, "mine")
    crowd = Crowd(lab, "127.0.0.8")
    poll(lambda: is_closed(crowd.connect(), 0.01), 20, "the end of them")
    lab.sipis.wait_log("descriptors run out")
    check(metric(lab, "sipis_edge_turned_away_total") > 0, "the page answers")
    check(len(crowd.socks) > 150, f"{len(crowd.socks)} connections")
    crowd.close()
    phone = hand(lab, "mine", address="127.0.0.3")
    check_equal(phone.register().status, 200, "REGISTER afterwards")


def test_purr_udp(lab):
    """Over UDP nobody tells that a phone has fallen asleep: it does not say
    anything any more."""
    site(lab, edge={**PUSH, "flow_timer_s": 10})
    known(lab, "first")
    phone, other = hand(lab, "long", transport="udp"), desk(lab)
    two = two_tokens(lab, "long")
    phone.purr = purr_of(phone, two)
    subscribe = watching(lab, phone, other,
                         route("udp"))
    told(other, phone, subscribe, NEWS, 1)
    check(phone.nothing(lambda m: True, 6), "quiet")
    phone.send("\r\n\r\n")
    check(phone.nothing(lambda m: True, 6), "still quiet")
    told(other, phone, subscribe, NEWS, 2)
    check_equal(lab.fake.requests(use="wake"), [], "pushes while it is awake")
    check(phone.nothing(lambda m: True, 11), "asleep")
    other.in_dialog(subscribe, "NOTIFY", 3, extra=NEWS)
    poll(lambda: lab.fake.requests(use="wake"), 5, "push")
    lab.sipis.wait_log("NOTIFY waits for its phone")
    check_equal(phone.heard(), [], "it is held")
    check(purr_of(phone, two), "REGISTER again")
    phone.reply(phone.wait_request("NOTIFY"), 200)
    check_equal(other.wait_final("NOTIFY").status, 200, "its answer")
