"""Media by way of a real rtpengine, for profiles that want it."""

import os
import signal
import socket
import threading

from edge import ROUTE, desk, here, metric, site
from handphone import Call, Message, branch_of
from harness import check, check_equal, poll
from rtpengine import NG, Rtp, Rtpengine, relayed, talk

AT_DESK, AT_PHONE = "127.0.0.7", "127.0.0.3"


def media(when="proceed", addresses=("%s:%d" % NG,), **more):
    return {"media": {"rtpengine": list(addresses), "when_unreachable": when,
                      **more}}


def lab_with(lab, when="proceed", name="phone", **more):
    """A site with an rtpengine: (it, a phone at the edge, one at the PBX)."""
    engine = Rtpengine(lab).start()
    site(lab, **media(when, **more))
    return engine, here(lab, name, address=AT_PHONE), desk(lab)


def ends(lab, **more):
    """The media of the phone, and of the desk."""
    return Rtp(lab, AT_PHONE, **more), Rtp(lab, AT_DESK, **more)


def incoming(phone, other, mine, theirs):
    """The desk calls and the phone answers: (call, INVITE, answer)."""
    other.inbox.clear()
    call = Call(other, "100", body=theirs.sdp())
    call.begin()
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 180, "Ringing")
    phone.reply(invite, 200, body=mine.sdp())
    answer = call.final()
    phone.wait_request("ACK")
    return call, invite, answer


def outgoing(phone, other, mine, theirs):
    phone.inbox.clear()
    call = Call(phone, "300", ROUTE, body=mine.sdp())
    return call, *call.taken_by(other, theirs.sdp())


def timeline(lab):
    events = lab.sipis.call(lab.newest_call())["events"]
    return {event["what"]: event["detail"] for event in events}


def test_in(lab):
    """A call to a phone: both hear each other, and only by the rtpengine."""
    engine, phone, other = lab_with(lab)
    mine, theirs = ends(lab)
    _, invite, answer = incoming(phone, other, mine, theirs)
    at_mine, at_theirs = relayed(invite, answer)
    talk(mine, at_mine, theirs, at_theirs)
    check_equal(len(engine.calls()), 1, "calls")
    check("%s:%d" % NG in timeline(lab)["media relayed"], "the timeline")
    phone.in_dialog(invite, "BYE", 1)
    other.reply(other.wait_request("BYE"), 200)
    check_equal(phone.wait_final("BYE").status, 200, "BYE of the phone")
    engine.wait_calls(0)


def test_out(lab):
    """A call of a phone, and a re-INVITE of either side: the same ports."""
    engine, phone, other = lab_with(lab)
    mine, theirs = ends(lab)
    call, invite, answer = outgoing(phone, other, mine, theirs)
    at_theirs, at_mine = relayed(invite, answer)
    talk(mine, at_mine, theirs, at_theirs)
    mine.version = 2
    call.body = mine.sdp()
    call.invite()
    again = other.wait_request("INVITE")
    other.reply(again, 200, body=theirs.sdp())
    check_equal(relayed(again, call.final()), [at_theirs, at_mine],
                "after a re-INVITE")
    other.wait_request("ACK")
    theirs.version = 2
    other.in_dialog(invite, "UPDATE", 1, body=theirs.sdp())
    update = phone.wait_request("UPDATE")
    phone.reply(update, 200, body=mine.sdp())
    check_equal(relayed(update, other.wait_final("UPDATE")),
                [at_mine, at_theirs], "after an UPDATE")
    talk(mine, at_mine, theirs, at_theirs)
    call.hang_up(other)
    engine.wait_calls(0)


def test_late_offer(lab):
    """An INVITE without an SDP: the 200 offers, the ACK answers."""
    engine, phone, other = lab_with(lab)
    mine, theirs = ends(lab)
    call = Call(other, "100", body="")
    call.begin()
    invite = phone.wait_request("INVITE")
    check_equal(invite.body, b"", "no offer")
    phone.reply(invite, 200, body=mine.sdp())
    answer = other.wait_final("INVITE")
    call.follow(answer)
    call.send("ACK", cseq=call.cseq, body=theirs.sdp())
    ack = phone.wait_request("ACK")
    at_theirs, at_mine = relayed(answer, ack)
    talk(mine, at_mine, theirs, at_theirs)
    call.hang_up(phone)
    engine.wait_calls(0)


def test_prack(lab):
    """The offer in a reliable 183, the answer in its PRACK."""
    engine, phone, other = lab_with(lab)
    mine, theirs = ends(lab)
    call = Call(other, "100", body="", extra="Supported: 100rel\r\n")
    call.begin()
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 183, "Session Progress", body=mine.sdp(),
                extra="Require: 100rel\r\nRSeq: 7\r\n")
    early = other.wait(lambda m: m.status == 183, 10, "183")
    call.follow(early)
    call.send("PRACK", cseq=call.cseq + 1, body=theirs.sdp(),
              extra=f"RAck: 7 {call.cseq} INVITE\r\n")
    prack = phone.wait_request("PRACK")
    at_theirs, at_mine = relayed(early, prack)
    talk(mine, at_mine, theirs, at_theirs)
    phone.reply(prack, 200)
    check_equal(other.wait_final("PRACK").status, 200, "PRACK")
    phone.reply(invite, 200)
    check_equal(call.final().body, b"", "nothing more to say")
    phone.wait_request("ACK")
    call.cseq += 1
    call.hang_up(phone)
    engine.wait_calls(0)


def test_multipart(lab):
    """An SDP that is one part of a body; the others stay as they are."""
    engine, phone, other = lab_with(lab)
    mine, theirs = ends(lab)
    front = ("--b\r\nContent-Type: application/sdp\r\n\r\n")
    back = ("\r\n--b\r\nContent-Type: application/pidf+xml\r\n\r\n<presence/>"
            "\r\n--b--\r\n")
    body = front + theirs.sdp() + back
    call = Call(other, "100")

    def invite_with(extra=""):
        call.cseq += 1
        call.branch = other.request(
            "INVITE", call.uri, call.to, call.call_id, call.cseq, "caller",
            f"Contact: <{other.contact}>\r\n{extra}", body,
            kind='multipart/mixed; boundary="b"')

    invite_with()
    challenge = other.wait_final("INVITE")
    call.ack(challenge)
    invite_with(other.authorization(challenge, "INVITE", call.uri))
    invite = phone.wait_request("INVITE")
    text = invite.body.decode()
    check(text.startswith(front) and text.endswith(back), text)
    relayed(invite)
    phone.reply(invite, 200, body=mine.sdp())
    relayed(call.final())
    phone.wait_request("ACK")
    call.hang_up(phone)
    engine.wait_calls(0)


KEYS = {
    "sdes": ("RTP/SAVP", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"
             "{0}0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n"),
    "dtls": ("UDP/TLS/RTP/SAVPF",
             "a=setup:{1}\r\na=fingerprint:sha-256 " +
             ":".join(["{0}{0}"] * 32) + "\r\na=ice-ufrag:{0}bcd\r\n"
             "a=ice-pwd:{0}bcdefghijklmnopqrstuvwxyz\r\n"),
}


def encrypted(lab, kind):
    proto, lines = KEYS[kind]
    engine, phone, other = lab_with(lab)
    mine = Rtp(lab, AT_PHONE, lines.format("A", "active"), proto)
    theirs = Rtp(lab, AT_DESK, lines.format("B", "actpass"), proto)
    call, invite, answer = incoming(phone, other, mine, theirs)
    at_mine, at_theirs = relayed(invite, answer)
    for message, end in ((invite, theirs), (answer, mine)):
        text = message.body.decode()
        for line in end.lines.splitlines():
            check(text.count(f"{line}\r\n") == 1, f"{line} in {text}")
        check_equal(text.count("a=crypto:"), end.lines.count("a=crypto:"),
                    "keys")
        check_equal("a=candidate:" in text, kind == "dtls", "candidates")
    # what nobody on the way can read
    talk(mine, at_mine, theirs, at_theirs)
    if kind == "dtls":
        talk(mine, at_mine, theirs, at_theirs, lambda end: bytes(
            [22, 254, 253]) + end.ssrc * 12)
        talk(mine, at_mine, theirs, at_theirs, lambda end: bytes.fromhex(
            "000100002112a442") + end.ssrc * 3)
    call.hang_up(phone)
    engine.wait_calls(0)


def test_sdes(lab):
    """Keys of the two ends pass as they are."""
    encrypted(lab, "sdes")


def test_dtls(lab):
    """And fingerprints; with ICE the rtpengine is a candidate.  DTLS and STUN
    go from end to end."""
    encrypted(lab, "dtls")


def test_fork(lab):
    """Two phones ring, each with ports of its own; one answers, and that of
    the other is forgotten."""
    engine, first, other = lab_with(lab, name="first")
    second = here(lab, "second", transport="tcp", address="127.0.0.4")
    mine, theirs = Rtp(lab, "127.0.0.4"), Rtp(lab, AT_DESK)
    call = Call(other, "100", body=theirs.sdp())
    call.begin()
    one, two = [p.wait_request("INVITE") for p in (first, second)]
    at_one, at_two = relayed(one, two)
    check(at_one != at_two, f"ports of their own: {at_one}")
    engine.wait_calls(2)
    first.reply(one, 180, "Ringing", tag="first")
    second.reply(two, 200, tag="second", body=mine.sdp())
    answer = call.final()
    second.wait_request("ACK")
    cancel = first.wait_request("CANCEL")
    first.reply(cancel, 200)
    first.reply(one, 487, "Request Terminated", tag="first")
    engine.wait_calls(1)
    talk(mine, at_two, theirs, relayed(answer)[0])
    call.hang_up(second)
    engine.wait_calls(0)


def test_crossing(lab):
    """Both answer at once: the slower one hears BYE, also while its answer
    is at the rtpengine."""
    engine, first, other = lab_with(lab, name="first")
    second = here(lab, "second", transport="tcp", address="127.0.0.4")
    mine = {first: Rtp(lab, AT_PHONE), second: Rtp(lab, "127.0.0.4")}
    theirs = Rtp(lab, AT_DESK)
    call = Call(other, "100", body=theirs.sdp())
    call.begin()
    invites = {p: p.wait_request("INVITE") for p in mine}
    for phone, invite in invites.items():
        phone.reply(invite, 200, tag=phone.urn[-8:], body=mine[phone].sdp())
    answer = call.final()
    for phone in mine:
        phone.wait_request("ACK")
    winner, loser = first, second
    if second.urn[-8:] in answer.get("To"):
        winner, loser = second, first
    loser.reply(loser.wait_request("BYE"), 200)
    engine.wait_calls(1)
    talk(mine[winner], relayed(invites[winner])[0], theirs,
         relayed(answer)[0])
    call.hang_up(winner)
    engine.wait_calls(0)


def test_gone(lab):
    """The phone is away when the BYE comes: the media ends all the same."""
    engine, phone, other = lab_with(lab)
    mine, theirs = ends(lab)
    call, *_ = incoming(phone, other, mine, theirs)
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")
    call.send("BYE")
    engine.wait_calls(0)


def test_gone_meanwhile(lab):
    """The BYE is on its way to the phone when the flow ends: the media ends,
    and the phone hears of it once it is back."""
    engine, phone, other = lab_with(lab)
    mine, theirs = ends(lab)
    call, *_ = incoming(phone, other, mine, theirs)
    call.send("BYE")
    phone.wait_request("BYE")
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")
    engine.wait_calls(0)
    check_equal(phone.connect().register().status, 200, "REGISTER again")
    phone.reply(phone.wait_request("BYE"), 200)
    check_equal(other.wait_final("BYE").status, 200, "BYE of the desk")


def test_cancel(lab):
    """A call that comes to nothing leaves nothing behind, in and out."""
    engine, phone, other = lab_with(lab)
    mine, theirs = ends(lab)
    for caller, called, call in (
            (other, phone, Call(other, "100", body=theirs.sdp())),
            (phone, other, Call(phone, "300", ROUTE, body=mine.sdp()))):
        call.begin()
        invite = called.wait_request("INVITE")
        called.reply(invite, 180, "Ringing")
        caller.wait(lambda m: m.status == 180, 10, "180")
        engine.wait_calls(1)
        call.send("CANCEL", cseq=call.cseq, branch=call.branch)
        called.reply(called.wait_request("CANCEL"), 200)
        called.reply(invite, 487, "Request Terminated")
        called.wait_request("ACK")
        check_equal(caller.wait_final("INVITE").status, 487, "the end")
        engine.wait_calls(0)


def test_repeated(lab):
    """A 200 that comes again has the same SDP."""
    engine, phone, other = lab_with(lab)
    mine, theirs = ends(lab)
    call = Call(other, "100", body=theirs.sdp())
    call.begin()
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 200, body=mine.sdp())
    first = other.wait_final("INVITE")
    phone.reply(invite, 200, body=mine.sdp())
    again = other.wait_final("INVITE")
    relayed(first)
    check_equal(again.body, first.body, "the SDP")
    call.follow(first)
    call.send("ACK", cseq=call.cseq)
    phone.wait_request("ACK")
    call.hang_up(phone)
    engine.wait_calls(0)


def test_restart(lab):
    """sipis is started anew in a call: its re-INVITE goes by the same
    rtpengine, and the BYE ends it there."""
    engine, phone, other = lab_with(lab)
    mine, theirs = ends(lab)
    call, invite, answer = incoming(phone, other, mine, theirs)
    at_mine, at_theirs = relayed(invite, answer)
    lab.sipis.stop()
    talk(mine, at_mine, theirs, at_theirs)
    lab.sipis.start()
    phone.connect()
    check_equal(phone.register().status, 200, "REGISTER again")
    theirs.version = 2
    call.body = theirs.sdp()
    call.invite()
    again = phone.wait_request("INVITE")
    phone.reply(again, 200, body=mine.sdp())
    check_equal(relayed(again, call.final()), [at_mine, at_theirs],
                "after a re-INVITE")
    phone.wait_request("ACK")
    phone.in_dialog(invite, "INVITE", 1, body=mine.sdp())
    back = other.wait_request("INVITE")
    other.reply(back, 200, body=theirs.sdp())
    check_equal(relayed(back, phone.wait_final("INVITE")),
                [at_theirs, at_mine], "after one of the phone")
    phone.in_dialog(invite, "ACK", 1)
    other.wait_request("ACK")
    talk(mine, at_mine, theirs, at_theirs)
    check_equal(len(engine.calls()), 1, "calls")
    call.hang_up(phone)
    engine.wait_calls(0)


def test_engine_restart(lab):
    """The rtpengine loses a call: the next re-INVITE makes it one of its own
    again."""
    engine, phone, other = lab_with(lab)
    mine, theirs = ends(lab)
    call, *_ = incoming(phone, other, mine, theirs)
    engine.kill()
    engine.start()
    check_equal(engine.calls(), [], "calls")
    theirs.version = 2
    call.body = theirs.sdp()
    call.invite()
    again = phone.wait_request("INVITE")
    phone.reply(again, 200, body=mine.sdp())
    at_mine, at_theirs = relayed(again, call.final())
    phone.wait_request("ACK")
    talk(mine, at_mine, theirs, at_theirs)
    call.hang_up(phone)
    engine.wait_calls(0)


def test_proceed(lab):
    """No rtpengine: the SDP passes as it is, and it is told why."""
    site(lab, **media())
    phone, other = here(lab, "phone", address=AT_PHONE), desk(lab)
    mine, theirs = ends(lab)
    call, invite, answer = incoming(phone, other, mine, theirs)
    check_equal((invite.body, answer.body),
                (theirs.sdp().encode(), mine.sdp().encode()), "the SDPs")
    talk(mine, theirs.addr, theirs, mine.addr)
    lab.sipis.wait_log("the offer is not relayed (no rtpengine answers), it "
                       "goes on as it is")
    lab.sipis.wait_log("rtpengine %s:%d of pbx demo does not answer" % NG)
    check("proceeds" in timeline(lab)["media not relayed"], "the timeline")
    call.hang_up(phone)
    call, invite, answer = outgoing(phone, other, mine, theirs)
    check_equal((invite.body, answer.body),
                (mine.sdp().encode(), theirs.sdp().encode()), "the SDPs")
    call.hang_up(other)


def refused(call):
    call.begin()
    answer = call.phone.wait_final("INVITE")
    call.ack(answer)
    check_equal(answer.status, 500, "the answer")


def test_fail(lab):
    """No rtpengine, and the profile wants none to pass by it."""
    site(lab, **media("fail"))
    phone, other = here(lab, "phone", address=AT_PHONE), desk(lab)
    mine, theirs = ends(lab)
    refused(Call(other, "100", body=theirs.sdp()))
    lab.sipis.wait_log("the offer is not relayed (no rtpengine answers), so "
                       "it fails")
    poll(lambda: "media not relayed" in timeline(lab), 5, "the timeline")
    check("fails" in timeline(lab)["media not relayed"], "the timeline")
    refused(Call(phone, "300", ROUTE, body=mine.sdp()))
    check(not [m for m in phone.heard() + other.heard() if m.method == "INVITE"
               and not m.status], "nobody rang")
    # once it is there, the same calls are relayed
    engine = Rtpengine(lab).start()
    lab.sipis.wait_log("answers again")
    call, invite, answer = incoming(phone, other, mine, theirs)
    relayed(invite, answer)
    call.hang_up(phone)
    engine.wait_calls(0)


def test_lost(lab):
    """It falls between offer and answer: whoever has answered hears BYE."""
    engine, phone, other = lab_with(lab, "fail")
    mine, theirs = ends(lab)
    for caller, called, call, end in (
            (other, phone, Call(other, "100", body=theirs.sdp()), mine),
            (phone, other, Call(phone, "300", ROUTE, body=mine.sdp()),
             theirs)):
        call.begin()
        invite = called.wait_request("INVITE")
        relayed(invite)
        engine.kill()
        called.reply(invite, 200, body=end.sdp())
        called.wait_request("ACK")
        called.reply(called.wait_request("BYE"), 200)
        answer = caller.wait_final("INVITE")
        call.ack(answer)
        check_equal(answer.status, 500, "the answer")
        engine.start()
        lab.sipis.wait_log("answers again", count=1 if called is phone else 2)


def test_failover(lab):
    """The second rtpengine takes what the first does not answer."""
    engine = Rtpengine(lab).start()
    dead = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dead.bind(("127.0.0.1", 0))
    lab.at_end.append(dead.close)
    site(lab, **media("fail", timeout_ms=100, addresses=(
        "%s:%d" % dead.getsockname(), "%s:%d" % NG)))
    phone, other = here(lab, "phone", address=AT_PHONE), desk(lab)
    mine, theirs = ends(lab)
    for _ in range(3):
        call, invite, answer = incoming(phone, other, mine, theirs)
        at_mine, at_theirs = relayed(invite, answer)
        talk(mine, at_mine, theirs, at_theirs)
        call.hang_up(phone)
        engine.wait_calls(0)
    lab.sipis.wait_log("rtpengine %s:%d of pbx demo does not answer" %
                       dead.getsockname())


GARBAGE = (b"", b"%c", b"%c ", b"%c d", b"%c d6:result2:ok", b"%c i1e",
           b"%c d6:result2:oke", b"%c d3:sdp0:6:result2:oke",
           b"%c d3:sdp999999999:x6:result2:oke", b"%c " + b"l" * 60000,
           b"x d6:result2:oke", b"\xff" * 2000, b"%c d6:resultd2:okleee",
           b"%c d6:result5:error12:error-reason9:\r\n\x1b[2J%n\x00e")


class Babbler:
    """Answers each question with all of this, each time with another one
    first."""

    def __init__(self, lab):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "%s:%d" % self.sock.getsockname()
        self.turn = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        lab.at_end.append(self.sock.close)

    def run(self):
        while True:
            try:
                data, sender = self.sock.recvfrom(65536)
                cookie = data.split(b" ")[0]
                if b"4:ping" in data:
                    self.sock.sendto(cookie + b" d6:result4:ponge", sender)
                    continue
                self.turn += 1
                turn = self.turn % len(GARBAGE)
                for answer in GARBAGE[turn:] + GARBAGE[:turn]:
                    self.sock.sendto(answer.replace(b"%c", cookie), sender)
            except OSError:
                return


def test_garbage(lab):
    """What cannot be read costs that rtpengine its say, and nothing else."""
    babbler = Babbler(lab)
    site(lab, **media(addresses=(babbler.address,), timeout_ms=200))
    phone, other = here(lab, "phone", address=AT_PHONE), desk(lab)
    mine, theirs = ends(lab)
    for _ in range(len(GARBAGE)):
        call, invite, answer = incoming(phone, other, mine, theirs)
        check_equal((invite.body, answer.body),
                    (theirs.sdp().encode(), mine.sdp().encode()), "the SDPs")
        call.hang_up(phone)
    log = lab.sipis.log()
    check("(???[2J%n)" in log, "the words of the peer, as text")
    check("\x1b" not in log and "\x00" not in log, "the log is text")
    check(lab.sipis.running(), "it lives")


def forgotten(invite):
    """As if its transaction were over: no timer of the phone's or of ours has
    to run out."""
    branch = branch_of(invite).encode()
    return Message(invite.data.replace(branch, branch + b"0"))


def belated(lab, when="proceed"):
    """A phone that speaks when nobody waits for it: (rtpengine, phone, desk,
    their media, the call, its INVITE)."""
    engine, phone, other = lab_with(lab, when)
    mine, theirs = ends(lab)
    call = Call(other, "100", body=theirs.sdp())
    call.begin()
    invite = forgotten(phone.wait_request("INVITE"))
    return engine, phone, other, mine, theirs, call, invite


def early(phone, other, invite, scode, body=""):
    phone.reply(invite, scode, "Ringing", tag="late", body=body)
    return other.wait(lambda m: m.status == scode, 10, str(scode))


def test_belated(lab):
    """It rings and answers all the same, and both hear each other.  Its 200
    comes again while the rtpengine is asked, and after that."""
    engine, phone, other, mine, theirs, call, invite = belated(lab)
    early(phone, other, invite, 180)
    at_mine, at_theirs = relayed(
        invite, early(phone, other, invite, 183, mine.sdp()))
    for _ in range(2):
        phone.reply(invite, 200, tag="late", body=mine.sdp())
    answer = call.final()
    check_equal(relayed(answer), [at_theirs], "the answer")
    phone.wait_request("ACK")
    talk(mine, at_mine, theirs, at_theirs)
    phone.reply(invite, 200, tag="late", body=mine.sdp())
    check_equal(other.wait_final("INVITE").body, answer.body, "the SDP")
    check_equal(len(engine.calls()), 1, "calls")
    call.hang_up(phone)
    engine.wait_calls(0)


def dies_and_fails(engine, phone, mine, call, invite):
    """The rtpengine does, and the late answer comes to nothing."""
    engine.kill()
    phone.reply(invite, 200, tag="late", body=mine.sdp())
    phone.wait_request("ACK")
    phone.reply(phone.wait_request("BYE"), 200)
    answer = call.phone.wait_final("INVITE")
    call.ack(answer)
    check_equal(answer.status, 500, "the answer")


def test_belated_fail(lab):
    """The rtpengine has died, and the profile wants no call without it."""
    engine, phone, _, mine, _, call, invite = belated(lab, "fail")
    dies_and_fails(engine, phone, mine, call, invite)


def test_belated_cancel(lab):
    """The caller has gone when the phone answers."""
    engine, phone, other, mine, _, call, invite = belated(lab)
    early(phone, other, invite, 183, mine.sdp())
    call.send("CANCEL", cseq=call.cseq, branch=call.branch)
    check_equal(other.wait_final("INVITE").status, 487, "the end")
    phone.reply(invite, 200, tag="late", body=mine.sdp())
    phone.wait_request("ACK")
    phone.reply(phone.wait_request("BYE"), 200)
    engine.wait_calls(0)


def test_belated_replaces(lab):
    """The same for an attended transfer to it: it rings, and is refused when
    the rtpengine has died."""
    engine, phone, other = lab_with(lab, "fail")
    mine, theirs = ends(lab)
    call = Call(other, "100", body=theirs.sdp())
    call.extra = "Replaces: of-old;to-tag=1;from-tag=2\r\n"
    call.begin()
    invite = forgotten(phone.wait_request("INVITE"))
    early(phone, other, invite, 180)
    relayed(invite, early(phone, other, invite, 183, mine.sdp()))
    dies_and_fails(engine, phone, mine, call, invite)


def rings_over_restart(lab):
    """sipis is started anew while a phone on UDP rings, which does not know
    that."""
    site(lab, **media())
    phone, other = here(lab, "phone", transport="udp",
                        address=AT_PHONE), desk(lab)
    mine, theirs = ends(lab)
    call = Call(other, "100", body=theirs.sdp())
    call.begin()
    invite = phone.wait_request("INVITE")
    early(phone, other, invite, 180)
    lab.sipis.stop()
    lab.sipis.start()
    return phone, other, (mine, theirs), call, invite


def test_restart_rings(lab):
    """It answers, and speaks, before it registers again."""
    engine = Rtpengine(lab).start()
    phone, other, (mine, theirs), call, invite = rings_over_restart(lab)
    other.inbox.clear()

    def says():
        phone.reply(invite, 200, tag="late", body=mine.sdp())
        other.pump(0.5)
        return any(m.method == "INVITE" and m.status == 200
                   for m in other.inbox)
    poll(says, 5, "the 200 at the PBX")
    answer = call.final()
    at_mine, at_theirs = relayed(invite, answer)
    phone.wait_request("ACK")
    talk(mine, at_mine, theirs, at_theirs)
    theirs.version = 2
    call.body = theirs.sdp()
    call.invite()
    again = phone.wait_request("INVITE")
    phone.reply(again, 200, tag="late", body=mine.sdp())
    # the route set stays; RFC 3261 12.2.1.2
    check_equal(relayed(again, other.wait_final("INVITE")),
                [at_mine, at_theirs], "after a re-INVITE")
    call.send("ACK", cseq=call.cseq)
    phone.wait_request("ACK")
    check(not [m for m in phone.inbox if m.method == "CANCEL"], "it rings on")
    call.hang_up(phone)
    engine.wait_calls(0)


def asked(where):
    """A question waits at a server that does not read."""
    port = ":%04X" % where[1]
    with open("/proc/net/udp", encoding="ascii") as table:
        rows = [line.split() for line in table][1:]
    return any(r[1].endswith(port) and r[4].split(":")[1].strip("0")
               for r in rows)


def test_restart_cancel(lab):
    """The caller goes while the rtpengine is asked about the answer."""
    engine = Rtpengine(lab).start()
    phone, other, (mine, _), call, invite = rings_over_restart(lab)
    os.kill(engine.popen.pid, signal.SIGSTOP)
    poll(lambda: phone.reply(invite, 200, tag="late", body=mine.sdp()) or
         asked(engine.ng), 5, "question to the rtpengine")
    call.send("CANCEL", cseq=call.cseq, branch=call.branch)
    check_equal(other.wait_final("INVITE").status, 487, "the end")
    os.kill(engine.popen.pid, signal.SIGCONT)
    phone.wait_request("ACK")
    phone.reply(phone.wait_request("BYE"), 200)
    engine.wait_calls(0)


def test_restart_rings_merged(lab):
    """It registers before it speaks, says 482 to the INVITE that comes then,
    and answers the one from before: that is at the rtpengine still."""
    engine = Rtpengine(lab).start()
    phone, other, (mine, theirs), call, invite = rings_over_restart(lab)
    check_equal(phone.register().status, 200, "REGISTER again")
    phone.wait_merged()
    phone.reply(invite, 200, tag="late", body=mine.sdp())
    at_mine, at_theirs = relayed(invite, call.final())
    phone.wait_request("ACK")
    talk(mine, at_mine, theirs, at_theirs)
    call.hang_up(phone)
    engine.wait_calls(0)
