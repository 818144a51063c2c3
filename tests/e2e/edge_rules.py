"""What docs/EDGE.md and the RFCs promise of the edge, rule by rule."""

import copy
import hashlib
import re
import select
import socket

from edge import Forking, answered, desk, hand, here, known, ringing
from edge import site, two_here, up
from edge_pass import is_swap, replacing
from handphone import SDP, Call, HandPhone, Message, routes_of, uuid_of
from harness import check, check_equal, poll

OUT = "<sip:localhost:5071;transport=tls;lr>"
SHORT = {"Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Contact": "m",
         "Content-Length": "l", "Content-Type": "c", "Supported": "k"}


# --- who may register as whom ---

def test_bearer_of_another(lab):
    """An instance's credential is for its own account."""
    site(lab)
    mine = known(lab, "sdk")
    known(lab, "other", "101")
    phone = hand(lab, "sdk")
    extra = f"Authorization: Bearer {mine['instance']}.{mine['secret']}\r\n"
    check_equal(phone.register_once(extra=extra, to="sip:101@demo.test").status,
                403, "another's AOR")
    check_equal(phone.register_once(extra=extra).status, 200, "its own")


def test_ha1(lab):
    """An account whose password only its owner knows."""
    site(lab)
    token = "ab" * 32
    lab.fake.token(token)
    ha1 = hashlib.md5(b"100:demo.test:pw-100").hexdigest()
    status, answer = lab.sipis.api().request("POST", "/v1/instances", {
        "app": "demo", "installation": "urn:uuid:" + uuid_of("sealed"),
        "platform": "ios",
        "push": [{"use": ["call"], "provider": "apns", "token": token,
                  "topic": "com.example.demo.voip",
                  "environment": "production"}],
        "account": {"aor": "sip:100@demo.test", "auth_user": "100",
                    "ha1": {"realm": "demo.test", "algorithm": "MD5",
                            "value": ha1}}})
    check_equal(status, 201, f"creation: {answer}")
    lab.wait_registered()
    check_equal(hand(lab, "sealed").register().status, 200, "its phone")
    thief = hand(lab, "thief", password="no")
    check_equal(thief.register().status, 401, "another password")


def test_brief(lab):
    """RFC 3261 10.3, 7."""
    site(lab)
    phone = here(lab, "brief")
    answer = phone.register(expires=59)
    check_equal(answer.status, 423, "59 seconds")
    check_equal(answer.get("Min-Expires"), "60", "Min-Expires")
    check_equal(phone.register(expires=60).status, 200, "60 seconds")


def test_out_of_order(lab):
    """A REGISTER that was on its way for longer than the next one changes
    nothing; RFC 3261 10.3, 7."""
    site(lab)
    phone = here(lab, "late")
    phone.cseq += 10
    check_equal(phone.register().status, 200, "the next")
    phone.cseq -= 9
    check_equal(phone.register(expires=0).status, 500, "an older one")
    _, (invite,) = ringing(lab, phone)
    check(invite, "it is still here")


def test_keepalive(lab):
    """RFC 5626 4.4.1: a ping is two line ends, its answer is one."""
    site(lab)
    for transport in ("tls", "tcp"):
        phone = here(lab, f"ping-{transport}", transport=transport)
        answer = phone.register()
        check_equal(answer.get("Flow-Timer"), "120", "Flow-Timer")
        check("outbound" in answer.get("Require"), "Require")
        phone.send("\r\n\r\n")
        check_equal(phone.sock.recv(10), b"\r\n", f"pong over {transport}")


def test_one_flow_two_accounts(lab):
    """Both are reached, and both may call."""
    site(lab, decline="phone")
    known(lab, "multi")
    known(lab, "multi", "101")
    phone = hand(lab, "multi")
    call_id = phone.call_id
    for user in ("100", "101"):
        phone.user, phone.password = user, f"pw-{user}"
        phone.call_id = f"{call_id}-{user}"
        check_equal(phone.register().status, 200, f"REGISTER of {user}")
    other = desk(lab)
    for user in ("100", "101"):
        phone.user, phone.password = user, f"pw-{user}"
        (contact,) = lab.pbx.contacts(user)
        pbx = HandPhone(("127.0.0.1", 5080), "200", "udp", name=user)
        lab.at_end.append(pbx.close)
        pbx.request("INVITE", re.search(r"sip:[^>;]+", contact).group(0),
                    f"<sip:{user}@demo.test>", f"to-{user}", 1, "f",
                    f"Contact: <{pbx.contact}>\r\n", SDP)
        invite = phone.wait_request("INVITE")
        check_equal(invite.uri, phone.where, f"who is called, {user}")
        phone.reply(invite, 486, "Busy Here")
        check_equal(pbx.wait_final("INVITE").status, 486, user)
        call = Call(phone, "300", OUT)
        call.begin()
        invite = other.wait_request("INVITE")
        check(f"sip:{user}@" in invite.get("From"), f"who calls, {user}")
        other.reply(invite, 486, "Busy Here")
        check_equal(call.final().status, 486, f"call of {user}")


# --- whom may a message reach? ---

def test_token_of_another_profile(lab):
    """What one PBX was told in a dialog opens no door for another one."""
    site(lab, start=True)
    lab.sipis.stop()
    profile = copy.deepcopy(lab.sipis.config["pbx"][0])
    profile.update(name="other", domains=["other.test"], local_port=5090,
                   outbound_proxy="127.0.0.2:5060")
    lab.sipis.config["pbx"].append(profile)
    lab.sipis.start()
    phone = here(lab, "mine")
    pbx = Forking(lab, "mine")
    pbx.say("INVITE", "one")
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 200, body=SDP)
    answer = pbx.hears("INVITE", 200, "one")
    routes = "".join(f"Route: {r}\r\n" for r in reversed(routes_of(answer)))
    pbx.hand.request("ACK", phone.where, answer.get("To"), pbx.call_id, 1, "f",
                     routes)
    phone.wait_request("ACK")

    other = HandPhone(("127.0.0.1", 5090), "200", "udp", name="other",
                      address="127.0.0.2", port=5060)
    lab.at_end.append(other.close)
    other.request("BYE", phone.where, answer.get("To"), pbx.call_id, 2, "f",
                  routes)
    check_equal(other.wait_final("BYE").status, 481, "BYE of another PBX")
    pbx.hand.request("INFO", phone.where, answer.get("To"), pbx.call_id, 3,
                     "f", routes)
    first = phone.wait(lambda m: not m.status)
    check_equal(first.method, "INFO", "what the phone hears first")
    phone.reply(first, 200)


def test_answer_for_anybody(lab):
    """A 200 goes to a PBX, wherever its Via says."""
    site(lab)
    phone = here(lab, "relay")
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    lab.at_end.append(stranger.close)
    stranger.bind(("127.0.0.66", 6000))
    pbx = Forking(lab, "pbx")
    pbx.say("INVITE", "one")
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 200, body=SDP)
    pbx.hears("INVITE", 200, "one")
    ours, *vias = invite.all("Via")
    vias = [re.sub(r";(rport|received)=[^;]*", "", via).replace(
        pbx.hand.via, "127.0.0.66:6000") for via in vias]
    check("127.0.0.66:6000" in vias[0], f"{vias}")
    head = re.sub(r"(?m)^Via: .*\r\n", "", invite.head + "\r\n")
    head = "".join(f"Via: {via}\r\n" for via in (ours, *vias)) + \
        head.split("\r\n", 1)[1]
    forged = Message((f"{invite.first}\r\n{head}\r\n").encode())
    phone.reply(forged, 200, body=SDP, tag="hand")
    check_equal(phone.register().status, 200, "it has been read")
    check(not select.select([stranger], [], [], 0.1)[0],
          "nothing goes to a stranger")


def test_anonymous(lab):
    """RFC 3323: who calls without a name is known by its flow."""
    site(lab)
    phone = here(lab, "shy")
    nobody = "sip:anonymous@anonymous.invalid"
    phone.request("INVITE", "sip:300@demo.test", "<sip:300@demo.test>",
                  "shy-1", 1, "s", f"Route: {OUT}\r\n"
                  f"Contact: <{phone.contact}>\r\nPrivacy: id\r\n", SDP,
                  source=nobody)
    check_equal(phone.wait_final("INVITE").status, 407, "the PBX's challenge")
    stranger = hand(lab, "stranger")
    stranger.request("INVITE", "sip:300@demo.test", "<sip:300@demo.test>",
                     "shy-2", 1, "s", f"Contact: <{stranger.contact}>\r\n",
                     SDP, source=nobody)
    check_equal(stranger.wait_final("INVITE").status, 403, "without a flow")


def test_asserted(lab):
    """Who a phone is the PBX says, not the phone; RFC 3325 5."""
    site(lab)
    phone, other = here(lab, "boss"), desk(lab)
    call = Call(phone, "300", OUT, extra=(
        "P-Asserted-Identity: <sip:200@demo.test>\r\n"
        "Remote-Party-ID: <sip:200@demo.test>;party=calling\r\n"
        "Subject: Asserted\r\n"))
    call.begin()
    invite = other.wait_request("INVITE")
    check_equal(invite.get("Subject"), "Asserted", "what it may say")
    check("sip:200@" not in invite.head, f"what it may not: {invite.head}")


# --- in calls ---

def test_early_dialogs(lab):
    """Two phones ring, each in a dialog of its own: PRACK and UPDATE find
    theirs; RFC 3262, 3311."""
    site(lab)
    phones = two_here(lab)
    pbx = Forking(lab, "early")
    pbx.say("INVITE", "one", extra="Supported: 100rel\r\n")
    invites = [phone.wait_request("INVITE") for phone in phones]
    rings = []
    for phone, invite, tag in zip(phones, invites, "ab"):
        phone.reply(invite, 183, "Session Progress", tag=tag, body=SDP,
                    extra="Require: 100rel\r\nRSeq: 1\r\n")
        rings.append(pbx.hears("INVITE", 183, "one"))
    for phone, ring in zip(phones, rings):
        routes = "".join(f"Route: {r}\r\n" for r in reversed(routes_of(ring)))
        target = re.search(r"<([^>]+)>", ring.get("Contact")).group(1)
        for cseq, method, more in ((2, "PRACK", "RAck: 1 1 INVITE\r\n"),
                                   (3, "UPDATE", "")):
            pbx.hand.request(method, target, ring.get("To"), pbx.call_id, cseq,
                             "f", routes + more)
            phone.reply(phone.wait_request(method), 200)
            check_equal(pbx.hand.wait_final(method).status, 200, method)
    first, second = phones
    first.in_dialog(invites[0], "UPDATE", 1, tag="a")
    pbx.hand.reply(pbx.hand.wait_request("UPDATE"), 200)
    check_equal(first.wait_final("UPDATE").status, 200, "the phone's UPDATE")
    first.reply(invites[0], 200, tag="a", body=SDP)
    pbx.hears("INVITE", 200, "one")
    second.wait_request("CANCEL")


def test_session_interval(lab):
    """RFC 4028: 422, and the PBX's second try is the same call, not a
    missed one."""
    site(lab)
    phone = here(lab, "timer")
    pbx = Forking(lab, "timer")
    pbx.say("INVITE", "one")
    phone.reply(phone.wait_request("INVITE"), 422,
                "Session Interval Too Small", extra="Min-SE: 1800\r\n")
    answer = pbx.hears("INVITE", 422, "one")
    check_equal(answer.get("Min-SE"), "1800", "Min-SE")
    pbx.say("ACK", "one", to=answer.get("To"))
    pbx.hand.request(
        "INVITE", pbx.uri, "<sip:100@demo.test>", pbx.call_id, 2, "f",
        "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKinner-two\r\n"
        f"Contact: <{pbx.hand.contact}>\r\nMin-SE: 1800\r\n", SDP,
        branch="z9hG4bKtwo")
    again = phone.wait_request("INVITE")
    check_equal(again.get("Min-SE"), "1800", "what the phone is asked")
    phone.reply(again, 200, body=SDP)
    pbx.hears("INVITE", 200, "two")
    poll(lambda: lab.sipis.call(lab.newest_call()).get("ended") == "answered",
         5, "the end")


def test_glare(lab):
    """Both ask for a change at the same time; RFC 3261 14.1."""
    site(lab)
    phone, other = here(lab, "glare"), desk(lab)
    call = Call(phone, "300", OUT)
    call.begin()
    invite = other.wait_request("INVITE")
    other.reply(invite, 200, body=SDP)
    check_equal(call.final().status, 200, "the call")
    other.wait_request("ACK")
    other.in_dialog(invite, "INVITE", 1, body=SDP)
    call.send("INVITE", body=SDP)
    for one in (phone, other):
        one.reply(one.wait_request("INVITE"), 491, "Request Pending")
    for one in (phone, other):
        check_equal(one.wait_final("INVITE").status, 491, f"{one.user}")


class Terse(HandPhone):
    """Header names of one letter (RFC 3261 7.3.3), and lines that are
    folded (7.3.1)."""

    folds = False

    def send(self, text):
        for name, letter in SHORT.items():
            text = re.sub(rf"(?m)^{name}:", f"{letter}:", text)
        if self.folds:
            text = re.sub(r"(?m)^([ftmvi]|Record-Route|Route): ",
                          "\\1:\r\n  ", text)
        super().send(text)


def test_terse(lab):
    """Both are the same message as any other, to a phone that reads only
    long names in whole lines."""
    site(lab)
    known(lab, "terse")
    other = desk(lab)
    phone = Terse(("127.0.0.1", 5071), "100", "tls",
                  f"{lab.certs}/site-ca.pem", name="terse")
    lab.at_end.append(phone.close)
    for folds in (False, True):
        phone.folds = folds
        check_equal(phone.register().status, 200, f"REGISTER, {folds}")
        phone.send = lambda text: Terse.send(phone, text)
        phone.request("INVITE", "sip:300@demo.test", "<sip:300@demo.test>",
                      f"terse-{folds}", 1, "s", f"Route: {OUT}\r\n"
                      f"Contact: <{phone.contact}>\r\n", SDP)
        answer = phone.wait_final("INVITE")
        check_equal(answer.status, 407, f"INVITE, {folds}")
        phone.request("INVITE", "sip:300@demo.test", "<sip:300@demo.test>",
                      f"terse-{folds}", 2, "s", f"Route: {OUT}\r\n"
                      f"Contact: <{phone.contact}>\r\n" +
                      phone.authorization(answer, "INVITE",
                                          "sip:300@demo.test"), SDP)
        invite = other.wait(lambda m: m.method == "INVITE" and not m.status)
        check_equal(invite.body, SDP.encode(), "the SDP")


def test_pbx_connects_anew(lab):
    """The PBX's TCP connection ends while the phone rings: its answer comes
    over a new one; RFC 3261 18.2.2."""
    site(lab, "tcp")
    phone = here(lab, "rings")
    (contact,) = lab.pbx.contacts("100")
    uri = re.search(r"sip:[^>]+", contact).group(0)
    with socket.create_server(("127.0.0.1", 5999)) as door:
        with socket.create_connection(("127.0.0.1", 5080), 5) as pbx:
            pbx.sendall((
                f"INVITE {uri} SIP/2.0\r\n"
                "Via: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bKlost\r\n"
                "Max-Forwards: 70\r\nFrom: <sip:200@demo.test>;tag=f\r\n"
                "To: <sip:100@demo.test>\r\nCall-ID: lost\r\n"
                "CSeq: 1 INVITE\r\n"
                "Contact: <sip:200@127.0.0.1:5999;transport=tcp>\r\n"
                "Content-Type: application/sdp\r\n"
                f"Content-Length: {len(SDP)}\r\n\r\n{SDP}").encode())
            invite = phone.wait_request("INVITE")
            phone.reply(invite, 180, "Ringing")
            check(b"SIP/2.0 1" in pbx.recv(4096), "it rings")
        phone.reply(invite, 200, body=SDP)
        door.settimeout(10)
        conn, _ = door.accept()
        with conn:
            conn.settimeout(10)
            check(conn.recv(4096).startswith(b"SIP/2.0 200"), "the answer")


def test_cancel_again(lab):
    """A CANCEL may get lost over UDP; RFC 3261 9.1."""
    site(lab)
    phone = here(lab, "deaf", transport="udp")
    pbx = Forking(lab, "pbx")
    pbx.say("INVITE", "one")
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 180, "Ringing")
    pbx.hears("INVITE", 180, "one")
    pbx.cancel("one")
    first = phone.wait_request("CANCEL")
    again = phone.wait_request("CANCEL")
    check_equal(again.data, first.data, "the same once more")
    phone.reply(again, 200, contact=False)
    phone.reply(invite, 487, "Request Terminated", contact=False)
    phone.wait_request("ACK")


def test_replaces_answers(lab):
    """What a phone says of a transfer to it that only a PBX may say of
    itself goes no further."""
    site(lab)
    phone, _, invite = up(lab, "swapped")
    for status in (401, 407, 503, 603):
        pbx = replacing(lab, invite, phone.urn[-8:])
        swap = phone.wait(is_swap)
        phone.reply(swap, status, "No", tag=f"s{status}")
        answer = pbx.hand.wait_final("INVITE")
        check(answer.status in (480, 500), f"{status}: {answer.status}")
        pbx.say("ACK", "swap", to=answer.get("To"))


def test_moved(lab):
    """A phone that is back under another address hears of the end."""
    site(lab)
    phone, caller, _ = up(lab, "moves", hold=1500)
    phone.close()
    phone.address = "127.0.0.44"
    phone.connect()
    check_equal(phone.register().status, 200, "from elsewhere")
    phone.reply(phone.wait_request("BYE"), 200)
    answered(lab, caller)


# --- what is no message ---

WHOLE = {"start": "INVITE sip:300@demo.test SIP/2.0", "via": None,
         "hops": "Max-Forwards: 70", "from": "From: <sip:100@demo.test>;tag=1",
         "to": "To: <sip:300@demo.test>", "id": None,
         "cseq": "CSeq: 1 INVITE", "contact": "Contact: <sip:100@192.0.2.1>",
         "length": "Content-Length: 0"}
BROKEN = (
    {"to": ""}, {"from": ""}, {"id": ""}, {"cseq": ""}, {"via": ""},
    {"from": "From: <<<>>;tag=1"}, {"from": "From: <sip:100@demo.test>"},
    {"cseq": "CSeq: 1 BYE"}, {"cseq": "CSeq: 99999999999 INVITE"},
    {"hops": "Max-Forwards: abc"}, {"length": "Content-Length: -5"},
    {"length": "Content-Length: abc"}, {"length": ""},
    {"start": "INVITE <sip:300@demo.test> SIP/2.0"},
    {"start": "INVITE sip:300@demo.test SIP/7.0"},
    {"start": "REGISTER sip:demo.test SIP/2.0",
     "to": "To: <sip:100@demo.test>", "cseq": "CSeq: 9 REGISTER",
     "contact": "Contact: <<<"},
)


def test_malformed(lab):
    """400, or no word: and it costs nobody else anything."""
    site(lab)
    good = here(lab, "good")
    for number, broken in enumerate(BROKEN):
        phone = hand(lab, f"bad{number}", transport="udp")
        lines = {**WHOLE, "id": f"Call-ID: broken-{number}",
                 "via": f"Via: SIP/2.0/UDP {phone.via};"
                        f"branch=z9hG4bKbroken{number}", **broken}
        phone.send("\r\n".join(x for x in lines.values() if x) + "\r\n\r\n")
        # what follows over the same way is answered after it
        check_equal(phone.register_once().status, 401, f"after {broken}")
        heard = [m.status for m in phone.inbox]
        check(all(400 <= status < 500 for status in heard),
              f"{broken}: {heard}")
    check_equal(good.register().status, 200, "the others")
    check("ASKED method=INVITE" not in lab.pbx.log(), "nothing at the PBX")
