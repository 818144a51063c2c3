"""Calls of a phone through the edge, with a real Asterisk that asks for the
password of whoever calls: chan_pjsip, a back-to-back user agent between two
dialogs, 401 where Kamailio says 407.  It asks for it at the INVITE that
begins a call, and for nothing in a dialog."""

from challenge import COUNTED, bearer, never_asked
from edge import ROUTE, desk, here, metric, site
from harness import check, check_equal
from handphone import SDP, Call, routes_of

HOLD = SDP + "a=sendonly\r\n"


def asterisk(lab, challenges):
    """Hold goes on to the other side as a re-INVITE."""
    lab.asterisk(users=("100", "300"), endpoint={
        "direct_media": "no", "moh_passthrough": "yes"})
    site(lab, start=False, challenges=challenges, nonce="none")
    print(lab.pbx.version(), flush=True)


def invited(call, asked):
    if asked:
        check_equal(call.begin().status, 401, "the PBX's own challenge")
    else:
        call.invite()


def out(phone, other, asked):
    call = Call(phone, "300", ROUTE)
    invited(call, asked)
    invite = other.wait_request("INVITE")
    other.reply(invite, 180, "Ringing")
    phone.wait(lambda m: m.status == 180, 10, "180")
    other.reply(invite, 200, body=SDP)
    answer = call.final()
    check_equal(answer.status, 200, "the answer")
    check_equal(len(routes_of(answer)), 2, "our Record-Routes")
    other.wait_request("ACK")
    return call, invite


def again(call):
    """re-INVITE of the phone, which Asterisk answers by itself."""
    call.invite()
    check_equal(call.final().status, 200, "re-INVITE of the phone")


def held(phone, other, invite):
    """re-INVITEs of the PBX: the other side holds, and takes it back."""
    for turn, (body, word) in enumerate(((HOLD, b"a=sendonly"),
                                         (SDP, b"a=sendrecv")), 1):
        other.in_dialog(invite, "INVITE", turn, body=body)
        check_equal(other.wait_final("INVITE").status, 200, "its answer")
        other.in_dialog(invite, "ACK", turn)
        back = phone.wait_request("INVITE")
        check(word in back.body, f"{word}: {back.body}")
        phone.reply(back, 200, body=SDP)
        phone.wait_request("ACK")


def ends(phone, other):
    """Asterisk tells the one what the other has said."""
    check_equal(phone.wait_final("BYE").status, 200, "BYE")
    other.reply(other.wait_request("BYE"), 200)


def calls(phone, other, asked):
    """re-INVITE and BYE both ways, in calls both ways."""
    call, invite = out(phone, other, asked)
    again(call)
    held(phone, other, invite)
    again(call)
    call.send("BYE")
    ends(phone, other)

    call, invite = out(phone, other, asked)
    other.in_dialog(invite, "BYE", 1)
    ends(other, phone)

    back = Call(other, "100")
    invited(back, True)
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 200, body=SDP)
    check_equal(back.final().status, 200, "a call to the phone")
    phone.wait_request("ACK")
    phone.in_dialog(invite, "BYE", 1)
    ends(phone, other)


def test_pass(lab):
    """Asterisk's challenges go to the phone, which has the password."""
    asterisk(lab, "pass")
    calls(here(lab, "knows"), desk(lab), True)
    check_equal(metric(lab, COUNTED), 0, "answered challenges")


def test_answer(lab):
    """The phone has no password, and is asked for none."""
    asterisk(lab, "answer")
    phone = bearer(lab, "quiet")
    calls(phone, desk(lab), False)
    never_asked(phone)
    check_equal(metric(lab, COUNTED), 2, "answered challenges")
