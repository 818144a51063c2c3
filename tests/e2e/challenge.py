"""challenges: answer.  The PBX asks for the password of what a phone sends,
within dialogs as well; sipis answers, and the phone knows nothing of it.  The
phone's CSeq c is 8c to 8c+7 at the PBX."""

from edge import (ROUTE, answered, desk, hand, known, metric, ringing,
                  site)
from harness import check, check_equal, poll
from handphone import SDP, Call, routes_of
from media import ends, media
from rtpengine import Rtpengine, relayed, talk

COUNTED = "sipis_edge_answered_total"


def asking(lab, define=(), nonce="none", profile=None, **pbx):
    lab.kamailio("plain", defines=("WITH_ASKING", *define), **pbx)
    site(lab, start=False, challenges="answer", nonce=nonce,
         **(profile or {}))


def bearer(lab, name, user="100"):
    """A phone that has the credential of its instance and no password."""
    mine = known(lab, name, user)
    phone = hand(lab, name, user, password="unknown")
    phone.extra = (f"Authorization: Bearer {mine['instance']}."
                   f"{mine['secret']}\r\n")
    log_in(phone)
    return phone


def log_in(phone):
    answer = phone.register_once(extra=phone.extra)
    check_equal(answer.status, 200, f"REGISTER: {answer.head}")


def number(message):
    return int(message.cseq.split()[0])


def never_asked(phone):
    check_equal([m for m in phone.heard() if m.status in (401, 407)], [],
                "challenges that the phone saw")


def talking(lab, phone, extra="", turn=1):
    """It calls a desk, which answers."""
    other = desk(lab)
    call = Call(phone, "300", ROUTE, extra=extra)
    call.invite()
    invite = other.wait_request("INVITE")
    check_equal(number(invite), 8 * call.cseq + turn, "the PBX's CSeq")
    other.reply(invite, 200, body=SDP)
    answer = call.final()
    check_equal((answer.status, answer.cseq), (200, f"{call.cseq} INVITE"),
                "the phone's own CSeq")
    check_equal(other.wait_request("ACK").cseq, f"{number(invite)} ACK", "ACK")
    return other, call, invite


def asked(call, other, method, turn=1, status=200, **more):
    """A request in the dialog; what the other side saw of it."""
    call.send(method, **more)
    seen = other.wait_request(method)
    check_equal(number(seen), 8 * call.cseq + turn, f"CSeq of {method}")
    other.reply(seen, status, body=SDP if method == "INVITE" else "")
    answer = call.final() if method == "INVITE" \
        else call.phone.wait_final(method)
    check_equal((answer.status, answer.cseq),
                (status, f"{call.cseq} {method}"), f"answer to {method}")
    if method == "INVITE":
        check_equal(other.wait_request("ACK").cseq, f"{number(seen)} ACK",
                    "ACK of the re-INVITE")
    return seen


def every_method(lab, **more):
    asking(lab, **more)
    phone = bearer(lab, "quiet")
    other, call, invite = talking(lab, phone)
    check_equal(metric(lab, COUNTED), 1, "answered challenges")
    asked(call, other, "INVITE", body=SDP)
    for method in ("UPDATE", "INFO", "INVITE", "MESSAGE"):
        asked(call, other, method, body=SDP if method == "INVITE" else "")
    refer = asked(call, other, "REFER", status=202,
                  extra="Refer-To: <sip:200@demo.test>\r\n")
    for turn in (1, 2):
        other.in_dialog(invite, "NOTIFY", turn, extra=(
            f"Event: refer;id={number(refer)}\r\n"
            "Subscription-State: active\r\n"))
        notify = phone.wait_request("NOTIFY")
        check_equal((notify.get("Event"), notify.cseq),
                    (f"refer;id={call.cseq}", f"{turn} NOTIFY"),
                    "the phone's own REFER, the other's own CSeq")
        phone.reply(notify, 200)
        check_equal(other.wait_final("NOTIFY").status, 200, "NOTIFY")
    ended = asked(call, other, "SUBSCRIBE", extra=(
        f"Event: refer;id={call.cseq}\r\nExpires: 0\r\n"))
    check_equal(ended.get("Event"), f"refer;id={number(refer)}", "its id")
    asked(call, other, "BYE")
    never_asked(phone)
    check_equal(metric(lab, COUNTED), 9, "answered challenges")
    return phone, other


def test_every_method(lab):
    """Each request is challenged, also those that are no dialog's."""
    phone, other = every_method(lab)
    for method in ("MESSAGE", "SUBSCRIBE", "PUBLISH"):
        alone = Call(phone, "300", ROUTE)
        alone.send(method, extra="Event: dialog\r\n")
        seen = other.wait_request(method)
        check_equal(number(seen), 9, f"CSeq of {method}")
        other.reply(seen, 200, extra="Expires: 60\r\n")
        answer = phone.wait_final(method)
        check_equal((answer.status, answer.cseq), (200, f"1 {method}"),
                    f"answer to {method}")
    never_asked(phone)
    check_equal(metric(lab, COUNTED), 12, "answered challenges")


def test_sha256_qop(lab):
    every_method(lab, define=("WITH_SHA256",), qop=True)


def test_qop(lab):
    every_method(lab, qop=True)


def test_anticipated(lab):
    """The nonce is kept, and what was asked for once is brought along."""
    asking(lab, nonce="shared", qop=True)
    phone = bearer(lab, "quiet")
    other, call, _ = talking(lab, phone)
    asked(call, other, "INVITE", body=SDP)
    asked(call, other, "INVITE", body=SDP, turn=0)
    asked(call, other, "BYE")
    other.close()
    other, call, _ = talking(lab, phone, turn=0)
    asked(call, other, "INVITE", body=SDP, turn=0)
    asked(call, other, "BYE", turn=0)
    never_asked(phone)
    check_equal(metric(lab, COUNTED), 3, "answered challenges")
    # another account of the same PBX
    second = bearer(lab, "second", "101")
    other.close()
    other, call, _ = talking(lab, second, turn=0)
    asked(call, other, "BYE", turn=0)


def message(phone, other):
    """Outside of a dialog; its CSeq at the other side."""
    call = Call(phone, "300", ROUTE)
    call.send("MESSAGE")
    seen = other.wait_request("MESSAGE")
    other.reply(seen, 200)
    check_equal(phone.wait_final("MESSAGE").status, 200, "MESSAGE")
    return number(seen)


def test_stale(lab):
    """A nonce grows old; the answer is made once more."""
    asking(lab, define=("WITH_SHORT_NONCE",), nonce="shared")
    phone, other = bearer(lab, "quiet"), desk(lab)
    check_equal(message(phone, other), 9, "asked the first time")
    check_equal(message(phone, other), 8, "brought along")
    poll(lambda: message(phone, other) == 9, 10, "old nonce", 0.2)
    never_asked(phone)


def test_always_stale(lab):
    """Once more, and then no more."""
    asking(lab, define=("WITH_STALE",))
    phone = bearer(lab, "quiet")
    call = Call(phone, "300", ROUTE)
    call.send("MESSAGE")
    check_equal(phone.wait_final("MESSAGE").status, 403, "MESSAGE")
    check_equal(metric(lab, COUNTED), 2, "answered challenges")


def test_both(lab):
    """407 of a proxy and then 401 from behind it, in one realm: the answers
    to both go along."""
    asking(lab)
    phone, other = bearer(lab, "quiet"), desk(lab)
    call = Call(phone, "300", ROUTE)
    call.send("MESSAGE")
    seen = other.wait_request("MESSAGE")
    check_equal((number(seen), seen.all("Authorization")), (9, []), "first")
    other.reply(seen, 401, "Unauthorized", extra=(
        'WWW-Authenticate: Digest realm="demo.test", nonce="n7", '
        'opaque="o", qop="auth,auth-int", algorithm=MD5\r\n'))
    seen = other.wait_request("MESSAGE")
    check_equal(number(seen), 10, "CSeq of the second")
    (mine,) = seen.all("Authorization")
    check('username="100"' in mine and 'nonce="n7"' in mine
          and 'opaque="o"' in mine and "qop=auth, nc=00000001" in mine, mine)
    other.reply(seen, 200)
    check_equal(phone.wait_final("MESSAGE").cseq, "1 MESSAGE", "the answer")
    never_asked(phone)


def test_one_time(lab):
    """A PBX that takes each nonce once."""
    asking(lab, define=("WITH_ONE_TIME",), nonce="shared")
    phone, other = bearer(lab, "quiet"), desk(lab)
    for turn in range(6):
        check_equal(message(phone, other), 9, f"MESSAGE {turn}")
    never_asked(phone)


def test_prack(lab):
    """RAck names the INVITE as the PBX saw it; RSeq stays."""
    asking(lab)
    phone, other = bearer(lab, "early"), desk(lab)
    call = Call(phone, "300", ROUTE, extra="Supported: 100rel\r\n")
    call.invite()
    invite = other.wait_request("INVITE")
    other.reply(invite, 183, "Session Progress", body=SDP,
                extra="Require: 100rel\r\nRSeq: 7\r\n")
    early = phone.wait(lambda m: m.status == 183, 10, "183")
    check_equal((early.get("RSeq"), early.cseq), ("7", "1 INVITE"), "183")
    call.follow(early)
    call.send("PRACK", cseq=2, extra="RAck: 7 1 INVITE\r\n")
    prack = other.wait_request("PRACK")
    check_equal((prack.get("RAck"), prack.cseq), ("7 9 INVITE", "16 PRACK"),
                "PRACK")
    other.reply(prack, 200)
    check_equal(phone.wait_final("PRACK").cseq, "2 PRACK", "its answer")
    other.reply(invite, 200, body=SDP)
    check_equal(call.final().status, 200, "the answer")
    check_equal(other.wait_request("ACK").cseq, "9 ACK", "ACK")
    call.cseq = 2
    asked(call, other, "BYE")
    never_asked(phone)


def test_cancel(lab):
    asking(lab)
    phone, other = bearer(lab, "quick"), desk(lab)
    call = Call(phone, "300", ROUTE)
    call.invite()
    invite = other.wait_request("INVITE")
    other.reply(invite, 180, "Ringing")
    phone.wait(lambda m: m.status == 180, 10, "180")
    call.send("CANCEL", cseq=1, branch=call.branch)
    cancel = other.wait_request("CANCEL")
    check_equal(cancel.cseq, f"{number(invite)} CANCEL", "CANCEL")
    other.reply(cancel, 200)
    other.reply(invite, 487, "Request Terminated")
    check_equal(phone.wait_final("CANCEL").status, 200, "CANCEL")
    answer = call.final()
    check_equal((answer.status, answer.cseq), (487, "1 INVITE"), "the end")


def test_called(lab):
    """The phone is called, and what it says in that call is challenged."""
    asking(lab)
    phone = bearer(lab, "called")
    caller, (invite,) = ringing(lab, phone, hold=60000)
    phone.reply(invite, 200, tag="hand", body=SDP)
    phone.wait_request("ACK")
    phone.in_dialog(invite, "BYE", 70000)
    answer = phone.wait_final("BYE")
    check_equal((answer.status, answer.cseq), (200, "70000 BYE"), "BYE")
    answered(lab, caller)
    never_asked(phone)
    check_equal(metric(lab, COUNTED), 1, "answered challenges")


def again(lab, phone):
    lab.sipis.stop()
    lab.sipis.start()
    phone.connect()
    log_in(phone)


def test_restart(lab):
    """In mid-call, and BYE is challenged: it is later than all before."""
    asking(lab)
    phone = bearer(lab, "alive")
    other, call, invite = talking(lab, phone)
    for _ in range(3):
        asked(call, other, "INVITE", body=SDP)
    again(lab, phone)
    asked(call, other, "INVITE", body=SDP)
    other.in_dialog(invite, "UPDATE", 1)
    phone.reply(phone.wait_request("UPDATE"), 200)
    check_equal(other.wait_final("UPDATE").status, 200, "UPDATE of the other")
    asked(call, other, "BYE")
    never_asked(phone)


def test_restart_before_ack(lab):
    """Which turn of a re-INVITE was answered is forgotten; the 2xx that is
    repeated says it again."""
    asking(lab, nonce="shared")
    phone = bearer(lab, "alive")
    other, call, _ = talking(lab, phone)
    asked(call, other, "INVITE", body=SDP)
    call.send("INVITE", body=SDP)
    invite = other.wait_request("INVITE")
    check_equal(number(invite), 8 * call.cseq, "brought along")
    other.reply(invite, 200, body=SDP)
    phone.wait_final("INVITE")
    again(lab, phone)
    other.reply(invite, 200, body=SDP)
    answer = call.final()
    check_equal((answer.status, answer.cseq), (200, f"{call.cseq} INVITE"),
                "the answer, repeated")
    check_equal(other.wait_request("ACK").cseq, f"{number(invite)} ACK", "ACK")
    asked(call, other, "BYE")


def test_token_alone(lab):
    """Whoever has but the token of a dialog is not vouched for: the PBX's
    challenge goes to the phone, which may know the password."""
    asking(lab)
    known(lab, "later")
    phone = hand(lab, "later", transport="tcp")
    check_equal(phone.register().status, 200, "REGISTER")
    other, call, _ = talking(lab, phone)
    lab.sipis.stop()
    lab.sipis.start()
    phone.connect()
    call.send("BYE")
    challenge = phone.wait_final("BYE")
    check_equal((challenge.status, challenge.cseq), (407, f"{call.cseq} BYE"),
                "the PBX's own challenge")
    call.send("BYE", extra=phone.authorization(challenge, "BYE", call.remote))
    seen = other.wait_request("BYE")
    check_equal(number(seen), 8 * call.cseq, "CSeq of BYE")
    other.reply(seen, 200)
    check_equal(phone.wait_final("BYE").status, 200, "BYE")
    check_equal(metric(lab, COUNTED), 0, "answered challenges")


def test_left(lab):
    """A phone that has signed off in a call can end it: it has logged in over
    that connection."""
    asking(lab)
    phone = bearer(lab, "left")
    other, call, _ = talking(lab, phone)
    answer = phone.register_once(expires=0, extra=phone.extra)
    check_equal(answer.status, 200, "signing off")
    asked(call, other, "INVITE", body=SDP)
    asked(call, other, "BYE")
    never_asked(phone)


def test_udp(lab):
    """An address says nothing: over UDP nobody is vouched for.  A phone that
    is there has the password, and is asked by the PBX itself."""
    asking(lab)
    known(lab, "plain")
    phone = hand(lab, "plain", transport="udp")
    check_equal(phone.register().status, 200, "REGISTER")
    other = desk(lab)
    call = Call(phone, "300", ROUTE)
    check_equal(call.begin().status, 407, "the PBX's own challenge")
    invite = other.wait_request("INVITE")
    check_equal(number(invite), 8 * call.cseq, "the PBX's CSeq")
    other.reply(invite, 200, body=SDP)
    check_equal(call.final().status, 200, "the answer")
    check_equal(other.wait_request("ACK").cseq, f"{number(invite)} ACK", "ACK")
    call.send("BYE")
    challenge = phone.wait_final("BYE")
    check_equal(challenge.status, 407, "its BYE is asked too")
    call.send("BYE", extra=phone.authorization(challenge, "BYE", call.remote))
    other.reply(other.wait_request("BYE"), 200)
    check_equal(phone.wait_final("BYE").status, 200, "BYE")
    # the next one has its address, and nothing else
    thief, call = Call(phone, "300", ROUTE), Call(phone, "300", ROUTE)
    thief.invite()
    answer = phone.wait_final("INVITE")
    check_equal(answer.status, 407, "without a password")
    thief.ack(answer)
    invite, _ = call.taken_by(other)
    check_equal(invite.get("Call-ID"), call.call_id, "no call of it")
    check_equal(metric(lab, COUNTED), 0, "answered challenges")


def test_wrong_secret(lab):
    """403, a log line, and the PBX is not asked over and over."""
    asking(lab, secret="other-")
    phone = bearer(lab, "wrong")
    for turn in range(4):
        call = Call(phone, "300", ROUTE)
        call.invite()
        answer = call.final()
        check_equal((answer.status, answer.cseq), (403, "1 INVITE"),
                    f"call {turn}")
    lab.sipis.wait_log("PBX refused the account's secret: pbx=demo "
                       "100@demo.test, INVITE is not tried")
    check_equal(metric(lab, COUNTED), 2, "answered challenges")
    never_asked(phone)


def test_other_realm(lab):
    """Another realm is not answered; what the phone says there passes, what
    it says in ours and its credential here do not."""
    asking(lab, realm="other.test")
    phone, other = bearer(lab, "foreign"), desk(lab)
    call = Call(phone, "300", ROUTE)
    call.invite()
    challenge = phone.wait_final("INVITE")
    check_equal((challenge.status, challenge.cseq), (407, "1 INVITE"),
                "the PBX's own challenge")
    check('realm="other.test"' in challenge.get("Proxy-Authenticate"),
          challenge.head)
    call.ack(challenge)
    phone.password = "pw-100"
    mine = phone.authorization(challenge, "INVITE", call.uri)
    call.invite(mine + phone.extra)
    invite = other.wait_request("INVITE")
    check_equal(number(invite), 16, "CSeq")
    check_equal(invite.all("Authorization"), [], "the credential of here")
    other.reply(invite, 200, body=SDP)
    check_equal(call.final().status, 200, "the answer")
    check_equal(other.wait_request("ACK").cseq, "16 ACK", "ACK")
    lab.sipis.wait_log("challenge of pbx demo goes to the phone of "
                       "100@demo.test: foreign realm")
    check_equal(metric(lab, COUNTED), 0, "answered challenges")


def test_media(lab):
    """The offer was at an rtpengine before the PBX asked; it goes out once
    more as it came from there, and is forgotten where nothing comes of it."""
    engine = Rtpengine(lab).start()
    asking(lab, profile=media())
    phone = bearer(lab, "heard")
    phone.address = "127.0.0.3"
    log_in(phone.connect())
    other, (mine, theirs) = desk(lab), ends(lab)
    call = Call(phone, "300", ROUTE, body=mine.sdp())
    for again in (False, True):
        call.invite()
        invite = other.wait_request("INVITE")
        check_equal(number(invite), 8 * call.cseq + 1, "CSeq")
        other.reply(invite, 200, body=theirs.sdp())
        at_theirs, at_mine = relayed(invite, call.final())
        check_equal(other.wait_request("ACK").cseq, f"{number(invite)} ACK",
                    f"ACK {again}")
        talk(mine, at_mine, theirs, at_theirs)
    asked(call, other, "BYE")
    engine.wait_calls(0)
    never_asked(phone)


def test_media_refused(lab):
    engine = Rtpengine(lab).start()
    asking(lab, profile=media(), secret="other-")
    phone = bearer(lab, "wrong")
    call = Call(phone, "300", ROUTE)
    call.invite()
    check_equal(call.final().status, 403, "INVITE")
    engine.wait_calls(0)


def test_repeated_answer(lab):
    """Two phones of one sipis: a 2xx that comes twice reaches the one that
    called, with its own CSeq."""
    asking(lab)
    caller, called = bearer(lab, "one"), bearer(lab, "two", "101")
    call = Call(caller, "101", ROUTE)
    call.invite()
    invite = called.wait_request("INVITE")
    check_equal((number(invite), len(routes_of(invite))), (9, 5), "INVITE")
    called.reply(invite, 200, body=SDP)
    caller.wait_final("INVITE")
    called.reply(invite, 200, body=SDP)
    answer = call.final()
    check_equal((answer.status, answer.cseq), (200, "1 INVITE"), "once more")
    check_equal(called.wait_request("ACK").cseq, "9 ACK", "ACK")
    called.in_dialog(invite, "BYE", 5)
    caller.reply(caller.wait_request("BYE"), 200)
    answer = called.wait_final("BYE")
    check_equal((answer.status, answer.cseq), (200, "5 BYE"), "BYE")
    never_asked(caller)
    never_asked(called)
