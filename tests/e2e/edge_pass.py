"""What passes through the edge between a phone and its PBX when something is
amiss: the network has changed, the flow has ended, a stranger speaks."""

import socket
import sqlite3

import dns
from edge import (ROUTE, UDP, Forking, answered, desk, here, metric, ringing,
                  route, routes_of, site, to_account, two_here, up)
from harness import check, check_equal, poll
from handphone import SDP, Call, HandPhone


def routes(invite):
    return "".join(f"Route: {r}\r\n" for r in routes_of(invite))


def is_request(message):
    return not message.status


def only_hears(phone, other, way=ROUTE):
    """A call of the phone is the next that the other end hears."""
    call = Call(phone, "300", way)
    call.begin()
    invite = other.wait_request("INVITE")
    check_equal(invite.get("Call-ID"), call.call_id, "whose INVITE it is")
    check_equal([m for m in other.inbox if is_request(m)
                 and m.get("Call-ID") != call.call_id], [], "before it")
    other.reply(invite, 486, "Busy Here")
    check_equal(call.final().status, 486, "its answer")
    other.wait_request("ACK")


def test_token_stranger(lab):
    """Who has seen the token of a dialog can say nothing but what is of that
    dialog, though the phone is away."""
    site(lab)
    other = desk(lab)
    phone, caller, invite = up(lab, "sleeper", hold=500)
    phone.reply(phone.wait_request("BYE"), 200)
    answered(lab, caller)
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")
    thief = HandPhone(UDP, "evil", "udp", name="evil", address="127.0.0.77")
    lab.at_end.append(thief.close)
    passed = metric(lab, "sipis_edge_passed_total")
    uri, seen = "sip:300@demo.test", invite.get("Call-ID")
    for method, call_id, tag in (
            ("INVITE", "another", ";tag=x"), ("INVITE", seen, ""),
            ("BYE", "another", ";tag=x"), ("MESSAGE", seen, ";tag=x"),
            ("MESSAGE", seen, ""), ("OPTIONS", seen, ";tag=x"),
            ("PUBLISH", seen, ";tag=x"), ("NOTIFY", seen, "")):
        thief.request(method, uri, f"<{uri}>{tag}", call_id, 1, "z",
                      routes(invite) + f"Contact: <{thief.contact}>\r\n", SDP)
        check_equal(thief.wait_final(method).status, 403,
                    f"{method} of {call_id}{tag}")
        thief.inbox.clear()
    check_equal(metric(lab, "sipis_edge_passed_total"), passed,
                "what passed")
    check_equal(phone.connect().register().status, 200, "it is back")
    only_hears(phone, other)


def rebind(lab, transport):
    """A call that is up, and its phone speaks from another address, of which
    it has not told us yet."""
    site(lab)
    phone = here(lab, "nat", transport=transport)
    caller, (invite,) = ringing(lab, phone, hold=60000)
    phone.reply(invite, 200, tag="n", body=SDP)
    phone.wait_request("ACK")
    keep = phone.sock
    lab.at_end.append(keep.close)
    phone.connect()
    return phone, caller, invite


def hangs_up(lab, transport):
    phone, caller, invite = rebind(lab, transport)
    phone.in_dialog(invite, "BYE", 1, tag="n")
    check_equal(phone.wait_final("BYE").status, 200, "BYE of the phone")
    answered(lab, caller)
    check_equal(metric(lab, "sipis_edge_flows"), 1, "its old flow")


def test_rebind_udp(lab):
    """BYE from a new NAT port, before the phone has registered there."""
    hangs_up(lab, "udp")


def test_rebind_tls(lab):
    hangs_up(lab, "tls")


def test_rebind_ack(lab):
    """So does the ACK of a call that the phone has made."""
    site(lab)
    phone = here(lab, "nat", transport="udp")
    other = desk(lab)
    call = Call(phone, "300", "<sip:localhost:5072;lr>")
    call.begin()
    invite = other.wait_request("INVITE")
    other.reply(invite, 200, body=SDP)
    answer = phone.wait_final("INVITE")
    call.follow(answer)
    lab.at_end.append(phone.sock.close)
    phone.connect()
    call.send("ACK", cseq=call.cseq)
    other.wait_request("ACK")
    call.send("BYE")
    other.reply(other.wait_request("BYE"), 200)
    check_equal(phone.wait_final("BYE").status, 200, "BYE")


def test_not_acceptable(lab):
    """SRTP or no SRTP: nobody has declined, and the timeline says what the
    phone says.  For apps it is a missed call."""
    site(lab)
    phone = here(lab, "strict")
    pbx = Forking(lab, "loose")
    pbx.say("INVITE", "a")
    phone.reply(phone.wait_request("INVITE"), 488, "Not Acceptable Here",
                extra='Warning: 304 phone "Media type not available"\r\n')
    pbx.hears("INVITE", 488, "a")
    number = lab.newest_call()
    poll(lambda: lab.sipis.call(number).get("ended"), 5, "its end")
    call = lab.sipis.call(number)
    check_equal(call["ended"], "refused by the phone", "its end")
    said = [(e["what"], e.get("detail") or "") for e in call["events"]
            if e["who"] == "app"]
    check(any(what == "488" and detail.endswith(
        'Not Acceptable Here: 304 phone "Media type not available"')
              for what, detail in said), f"why: {said}")
    check("decline" not in [what for what, _ in said], f"nobody: {said}")
    check(metric(lab, 'sipis_calls_ended_total{how="refused"}') == 1, "count")


def test_unavailable(lab):
    """The 503 of one phone would take sipis out of service, with all that are
    there; that of a PBX would make a phone leave."""
    site(lab)
    phone, other = here(lab, "sick"), desk(lab)
    later = "Retry-After: 600\r\n"

    def is_own(answer, what):
        check_equal((answer.status, answer.get("Retry-After")), (500, ""),
                    what)

    pbx = Forking(lab, "sick")
    pbx.say("INVITE", "a")
    phone.reply(phone.wait_request("INVITE"), 503, "Not Now", extra=later)
    phone.wait_request("ACK")
    answer = pbx.hears("INVITE", 500, "a")
    is_own(answer, "a waiting call")
    pbx.say("ACK", "a", to=answer.get("To"))
    call = lab.sipis.call(lab.newest_call())
    check_equal(call["ended"], "refused by the phone", "its end")

    pbx = to_account(lab, "MESSAGE", body="x", kind="text/plain")
    phone.reply(phone.wait_request("MESSAGE"), 503, "Not Now", extra=later)
    is_own(pbx.wait_final("MESSAGE"), "MESSAGE")

    call = Call(phone, "300", ROUTE)
    call.begin()
    invite = other.wait_request("INVITE")
    other.reply(invite, 200, body=SDP)
    check_equal(call.final().status, 200, "a call")
    other.wait_request("ACK")
    other.in_dialog(invite, "INFO", 1)
    phone.reply(phone.wait_request("INFO"), 503, "Not Now", extra=later)
    is_own(other.wait_final("INFO"), "in a dialog")
    call.send("INFO")
    other.reply(other.wait_request("INFO"), 503, "Not Now", extra=later)
    is_own(phone.wait_final("INFO"), "of the PBX's side")


def again(phone):
    check_equal(phone.connect().register().status, 200, "REGISTER again")


def test_bye_lost(lab):
    """The BYE is on the wire when the flow ends: the phone gets it again."""
    site(lab)
    phone, caller, _ = up(lab, "unread", hold=300)
    phone.wait_request("BYE")
    phone.close()
    poll(lambda: "BYE waits for its phone" in lab.sipis.log(), 5, "BYE")
    again(phone)
    phone.reply(phone.wait_request("BYE"), 200)
    answered(lab, caller)


def test_bye_moved(lab):
    """The same over UDP, where nobody tells that a flow has ended."""
    site(lab)
    phone = here(lab, "unread", transport="udp")
    caller, (invite,) = ringing(lab, phone, hold=300)
    phone.reply(invite, 200, tag="u", body=SDP)
    phone.wait_request("ACK")
    phone.wait_request("BYE")
    phone.close()
    again(phone)
    phone.reply(phone.wait_request("BYE"), 200)
    answered(lab, caller)


def calls_out(lab, transport):
    """A call of the phone that rings."""
    site(lab)
    phone, other = here(lab, "out", transport=transport), desk(lab)
    call = Call(phone, "300", route(transport))
    call.begin()
    invite = other.wait_request("INVITE")
    other.reply(invite, 180, "Ringing")
    phone.wait(lambda m: m.status == 180)
    return phone, other, call, invite


def its_ack_was_read(phone, other):
    """Else over UDP its refusal comes again before one of a call that began
    later, and over TLS the ACK goes on."""
    call = Call(phone, "300", route(phone.transport))
    call.invite("Proxy-Require: foo\r\n")
    answer = phone.wait_final("INVITE")
    check_equal(answer.status, 420, "a refusal of ours")
    if phone.transport == "udp":
        check_equal(phone.wait_final("INVITE").status, 420, "once more")
    call.ack(answer)
    check(phone.quiet(lambda m: m.status == 486), "the refusal, once more")
    only_hears(phone, other, route(phone.transport))


def ring_elsewhere(lab, transport):
    """Answers come over the flow that the phone has now."""
    phone, other, call, invite = calls_out(lab, transport)
    phone.close()
    old = phone.via
    again(phone)
    other.reply(invite, 183, "Progress")
    phone.wait(lambda m: m.status == 183)
    other.reply(invite, 486, "Busy Here")
    other.wait_request("ACK")
    # the ACK of a refusal has the Via of its INVITE
    phone.via, new = old, phone.via
    check_equal(call.final().status, 486, "the refusal")
    phone.via = new
    its_ack_was_read(phone, other)

    call = Call(phone, "300", call.routes[0])
    call.begin()
    invite = other.wait_request("INVITE")
    other.reply(invite, 180, "Ringing")
    phone.wait(lambda m: m.status == 180)
    phone.close()
    again(phone)
    other.reply(invite, 200, body=SDP)
    check_equal(call.final().status, 200, "the answer")
    other.wait_request("ACK")
    call.send("BYE")
    other.reply(other.wait_request("BYE"), 200)
    check_equal(phone.wait_final("BYE").status, 200, "BYE")


def test_rings_elsewhere_tls(lab):
    ring_elsewhere(lab, "tls")


def test_rings_elsewhere_udp(lab):
    ring_elsewhere(lab, "udp")


def test_answer_waits(lab):
    """The phone is away when the answer comes: it gets it once it is back."""
    phone, other, call, invite = calls_out(lab, "tls")
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")
    other.reply(invite, 486, "Busy Here")
    other.wait_request("ACK")
    again(phone)
    check_equal(call.final().status, 486, "the refusal")


def cancels_elsewhere(lab, transport):
    """Its CANCEL comes with the branch of the INVITE from where it is now."""
    phone, other, call, invite = calls_out(lab, transport)
    lab.at_end.append(phone.sock.close)
    old = phone.via
    phone.connect()
    call.send("CANCEL", cseq=call.cseq, branch=call.branch)
    check_equal(phone.wait_final("CANCEL").status, 481, "of a stranger")
    check_equal(phone.register().status, 200, "REGISTER there")
    call.send("CANCEL", cseq=call.cseq, branch=call.branch + "x")
    check_equal(phone.wait_final("CANCEL").status, 481, "of no INVITE")
    call.send("CANCEL", cseq=call.cseq, branch=call.branch,
              extra="Reason: SIP;cause=600\r\n")
    check_equal(phone.wait_final("CANCEL").status, 200, "CANCEL")
    cancel = other.wait_request("CANCEL")
    check_equal(cancel.get("Reason"), "SIP;cause=600", "Reason")
    other.reply(cancel, 200)
    other.reply(invite, 487, "Request Terminated")
    phone.via = old
    check_equal(call.final().status, 487, "its end")


def test_cancel_elsewhere_tls(lab):
    cancels_elsewhere(lab, "tls")


def test_cancel_elsewhere_udp(lab):
    cancels_elsewhere(lab, "udp")


def test_cancel_reason(lab):
    """Why a phone cancels is told (RFC 3326), and of another CANCEL not."""
    phone, other, call, invite = calls_out(lab, "tls")
    why = 'SIP;cause=200;text="Call completed elsewhere"'
    call.send("CANCEL", cseq=call.cseq, branch=call.branch,
              extra=f"Reason: {why}\r\nReason: Q.850;cause=16\r\n")
    cancel = other.wait_request("CANCEL")
    check_equal(cancel.get("Reason"), f"{why}, Q.850;cause=16", "Reason")
    other.reply(cancel, 200)
    other.reply(invite, 487, "Request Terminated")
    check_equal(call.final().status, 487, "its end")
    call = Call(phone, "300", ROUTE)
    call.begin()
    invite = other.wait_request("INVITE")
    other.reply(invite, 180, "Ringing")
    phone.wait(lambda m: m.status == 180)
    call.send("CANCEL", cseq=call.cseq, branch=call.branch)
    check_equal(other.wait_request("CANCEL").get("Reason"), "", "no Reason")


def replacing(lab, invite, tag, name="transferee"):
    """From the PBX: an INVITE that is to replace the call of invite, which
    the phone has answered with tag."""
    theirs = invite.get("From").split("tag=")[1].split(";")[0]
    pbx = Forking(lab, name)
    pbx.say("INVITE", "swap", extra=(
        f"Replaces: {invite.get('Call-ID')};to-tag={tag};"
        f"from-tag={theirs}\r\nRequire: replaces\r\n"))
    return pbx


def is_swap(message):
    return not message.status and bool(message.get("Replaces"))


def test_replaces(lab):
    """An attended transfer to a phone: the one that has the call gets the
    INVITE, no other, and nobody is pushed."""
    site(lab)
    first, second = two_here(lab)
    caller, (one, other) = ringing(lab, first, second, hold=60000)
    second.reply(other, 200, tag=second.urn[-8:], body=SDP)
    second.wait_request("ACK")
    first.reply(first.wait_request("CANCEL"), 200)
    first.reply(one, 487, "Request Terminated", tag=first.urn[-8:])
    pbx = replacing(lab, other, second.urn[-8:])
    swap = second.wait(is_swap)
    check(b"m=audio" in swap.body, "its SDP")
    second.reply(swap, 180, "Ringing", tag="swapped")
    pbx.hears("INVITE", 180, "swap")
    second.reply(swap, 200, tag="swapped", body=SDP)
    answer = pbx.hears("INVITE", 200, "swap")
    check(answer.get("To").endswith("swapped"), "the answer of the phone")
    second.in_dialog(other, "BYE", 1, tag=second.urn[-8:])
    check_equal(second.wait_final("BYE").status, 200, "BYE of the old call")
    answered(lab, caller)
    check(first.quiet(is_swap), "the other phone is left alone")
    check_equal(lab.fake.requests(use="call"), [], "pushes")


def test_replaces_own_call(lab):
    """The same for a call that the phone has made."""
    site(lab)
    first, second = two_here(lab)
    other = desk(lab)
    call = Call(second, "300", route("tcp"))
    call.begin()
    invite = other.wait_request("INVITE")
    other.reply(invite, 200, body=SDP)
    call.final()
    pbx = Forking(lab, "transferee")
    pbx.say("INVITE", "swap", extra=(
        f"Replaces: {call.call_id};to-tag=caller;from-tag=hand\r\n"))
    second.reply(second.wait(is_swap), 200, tag="swapped", body=SDP)
    pbx.hears("INVITE", 200, "swap")
    check(first.quiet(is_swap), "the other phone is left alone")


def test_replaces_unknown(lab):
    """Nobody knows any more who has the call: all are asked, and the 481 of
    one is not the answer."""
    site(lab)
    first, second = two_here(lab)
    pbx = Forking(lab, "transferee")

    def asks(branch):
        pbx.say("INVITE", branch,
                extra="Replaces: of-old;to-tag=1;from-tag=2\r\n")
        return first.wait(is_swap), second.wait(is_swap)

    one, other = asks("a")
    first.reply(one, 481, "No Such Call")
    first.wait_request("ACK")
    check(pbx.hand.quiet(lambda m: m.status > 100), "no answer yet")
    second.reply(other, 200, tag="swapped", body=SDP)
    pbx.hears("INVITE", 200, "a")

    pbx.call_id += "-b"
    one, other = asks("b")
    second.reply(other, 200, tag="swapped", body=SDP)
    pbx.hears("INVITE", 200, "b")
    first.reply(one, 100, "Trying", tag="")
    cancel = first.wait_request("CANCEL")
    check("cause=200" in cancel.get("Reason"), f"{cancel.get('Reason')}")

    pbx.call_id += "-c"
    one, other = asks("c")
    first.reply(one, 481, "No Such Call")
    second.reply(other, 481, "No Such Call")
    answer = pbx.hears("INVITE", 481, "c")
    pbx.say("ACK", "c", to=answer.get("To"))

    pbx.call_id += "-d"
    one, other = asks("d")
    first.reply(one, 180, "Ringing")
    second.reply(other, 481, "No Such Call")
    pbx.hears("INVITE", 180, "d")
    pbx.cancel("d")
    first.wait_request("CANCEL")
    check_equal(lab.fake.requests(use="call"), [], "pushes")


def test_replaces_stopped(lab):
    """A restart knows nothing of it, so a stop ends it: nobody rings on."""
    site(lab)
    first, second = two_here(lab)
    pbx = Forking(lab, "transferee")
    pbx.say("INVITE", "swap",
            extra="Replaces: of-old;to-tag=1;from-tag=2\r\n")
    for phone in (first, second):
        phone.reply(phone.wait(is_swap), 180, "Ringing", tag="swapped")
        pbx.hears("INVITE", 180, "swap")
        pbx.hand.inbox.clear()
    lab.sipis.stop()
    pbx.hears("INVITE", 480, "swap")
    for phone in (first, second):
        phone.wait_request("CANCEL")


def test_replaces_asleep(lab):
    """Who is in a call does not sleep: 481, and no push."""
    site(lab)
    phone = here(lab, "asleep")
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")
    pbx = Forking(lab, "transferee")
    pbx.say("INVITE", "swap",
            extra="Replaces: of-old;to-tag=1;from-tag=2\r\n")
    pbx.hears("INVITE", 481, "swap")
    check_equal(lab.fake.requests(use="call"), [], "pushes")


def test_proxy_require(lab):
    """What we do not know we may not pass on; RFC 3261 16.3 (5)."""
    site(lab)
    phone, other = here(lab, "odd"), desk(lab)
    call = Call(phone, "300", ROUTE)
    call.invite("Proxy-Require: foo, bar\r\n")
    answer = phone.wait_final("INVITE")
    check_equal((answer.status, answer.get("Unsupported")),
                (420, "foo, bar"), "a call of the phone")
    call.ack(answer)
    call.send("MESSAGE", extra="Proxy-Require: foo\r\n")
    check_equal(phone.wait_final("MESSAGE").status, 420, "MESSAGE")
    pbx = to_account(lab, "MESSAGE", "Proxy-Require: foo\r\n", "x",
                     "text/plain")
    answer = pbx.wait_final("MESSAGE")
    check_equal((answer.status, answer.get("Unsupported")), (420, "foo"),
                "MESSAGE of the PBX")
    check(phone.quiet(is_request), "the phone hears none")
    only_hears(phone, other)


def vias(*hosts):
    return "".join(f"Via: SIP/2.0/UDP {host};branch=z9hG4bKold{n}\r\n"
                   for n, host in enumerate(hosts))


def test_loop_of_pbx(lab):
    """What has been here too often goes no further, whoever sends it."""
    site(lab)
    phone = here(lab, "round")
    ours = ["127.0.0.1:5072", "127.0.0.1:5080"] * 3
    pbx = to_account(lab, "MESSAGE", vias(*ours), "x", "text/plain")
    check_equal(pbx.wait_final("MESSAGE").status, 482, "MESSAGE")
    pbx = to_account(lab, "INVITE", vias(*ours), SDP, "application/sdp")
    check_equal(pbx.wait_final("INVITE").status, 482, "INVITE")
    check(phone.quiet(is_request), "the phone hears none")
    theirs = ["10.0.0.1:5072", "10.0.0.1:5080"] * 3
    pbx = to_account(lab, "MESSAGE", vias(*theirs), "x", "text/plain")
    phone.reply(phone.wait_request("MESSAGE"), 200)
    check_equal(pbx.wait_final("MESSAGE").status, 200, "of others")


def test_breadth(lab):
    """RFC 5393 5.3: no more branches at a time than there may be, and each
    phone has one of them."""
    site(lab)
    first, second = two_here(lab)
    pbx = Forking(lab, "broad")
    pbx.say("INVITE", "a")
    for phone in (first, second):
        check_equal(phone.wait_request("INVITE").all("Max-Breadth"), ["1"],
                    "its part")
    pbx.cancel("a")
    for method, status in (("INVITE", 440), ("MESSAGE", 440)):
        none = to_account(lab, method, "Max-Breadth: 0\r\n", "x",
                          "text/plain")
        check_equal(none.wait_final(method).status, status, method)
    one = to_account(lab, "MESSAGE", "Max-Breadth: 1\r\n", "x", "text/plain")
    message = second.wait_request("MESSAGE")
    check_equal(message.all("Max-Breadth"), ["1"], "the newest phone has it")
    second.reply(message, 200)
    check_equal(one.wait_final("MESSAGE").status, 200, "its answer")
    check(first.quiet(lambda m: m.method == "MESSAGE"), "the other has none")


def test_replaces_moved(lab):
    """The phone loses its flow while it has the INVITE, and is back: it says
    482 to another one, and takes what it had."""
    site(lab)
    phone, caller, invite = up(lab, "moves")
    pbx = replacing(lab, invite, phone.urn[-8:])
    swap = phone.wait(is_swap)
    phone.reply(swap, 180, "Ringing", tag="swapped")
    pbx.hears("INVITE", 180, "swap")
    phone.close()
    again(phone)
    phone.wait_merged()
    phone.reply(swap, 200, tag="swapped", body=SDP)
    pbx.hears("INVITE", 200, "swap")


def signs_off(lab, phone):
    """It is no phone of ours any more, but its connection stands."""
    check_equal(phone.register(expires=0).status, 200, "signing off")
    check_equal(metric(lab, "sipis_edge_bindings"), 0, "who is here")


def left_in_call(lab, transport):
    """A phone that signs off in a call goes on in it, and in nothing else."""
    site(lab)
    phone, other = here(lab, "left", transport=transport), desk(lab)
    call = Call(phone, "300", route(transport))
    invite, _ = call.taken_by(other)
    signs_off(lab, phone)
    check_equal(metric(lab, "sipis_edge_flows"), 0, "ways to phones")
    other.in_dialog(invite, "INFO", 1)
    phone.reply(phone.wait_request("INFO"), 200)
    check_equal(other.wait_final("INFO").status, 200, "INFO of the other")
    call.send("INVITE", body=SDP)
    other.reply(other.wait_request("INVITE"), 200, body=SDP)
    check_equal(call.final().status, 200, "INVITE of the phone")
    other.wait_request("ACK")
    call.send("MESSAGE")
    check_equal(phone.wait_final("MESSAGE").status, 403, "no dialog's")
    another = Call(phone, "300", route(transport))
    another.invite()
    check_equal(another.final().status, 403, "another call")
    pbx = to_account(lab, "MESSAGE", body="x", kind="text/plain")
    check_equal(pbx.wait_final("MESSAGE").status, 480, "MESSAGE to it")
    other.in_dialog(invite, "BYE", 2)
    phone.reply(phone.wait_request("BYE"), 200)
    check_equal(other.wait_final("BYE").status, 200, "BYE of the other")
    check("waits for its phone" not in lab.sipis.log(), "nothing waits")


def test_left_tls(lab):
    left_in_call(lab, "tls")


def test_left_tcp(lab):
    left_in_call(lab, "tcp")


def test_left_udp(lab):
    left_in_call(lab, "udp")


def test_left_bye(lab):
    """It signs off while the BYE is on its way to it."""
    site(lab)
    phone, other = here(lab, "left"), desk(lab)
    invite, _ = Call(phone, "300", ROUTE).taken_by(other)
    other.in_dialog(invite, "BYE", 1)
    bye = phone.wait_request("BYE")
    signs_off(lab, phone)
    phone.reply(bye, 200)
    check_equal(other.wait_final("BYE").status, 200, "its answer")


def test_left_and_back(lab):
    """Back over another connection it gets there what it has not answered;
    over the same one not once more."""
    site(lab)
    phone, other = here(lab, "left"), desk(lab)
    invite, _ = Call(phone, "300", ROUTE).taken_by(other)
    signs_off(lab, phone)
    other.in_dialog(invite, "INFO", 1)
    info = phone.wait_request("INFO")
    check_equal(phone.register().status, 200, "REGISTER, the same way")
    check(phone.quiet(lambda m: m.method == "INFO"), "it has it")
    phone.reply(info, 200)
    check_equal(other.wait_final("INFO").status, 200, "its answer")
    signs_off(lab, phone)
    other.in_dialog(invite, "BYE", 2)
    phone.wait_request("BYE")
    lab.at_end.append(phone.sock.close)
    again(phone)
    phone.reply(phone.wait_request("BYE"), 200)
    check_equal(other.wait_final("BYE").status, 200, "BYE")


def test_left_away(lab):
    """It signs off, and then its connection ends: it is awaited as ever."""
    site(lab)
    phone, other = here(lab, "left"), desk(lab)
    invite, _ = Call(phone, "300", ROUTE).taken_by(other)
    signs_off(lab, phone)
    other.in_dialog(invite, "BYE", 1)
    phone.wait_request("BYE")
    phone.close()
    lab.sipis.wait_log("BYE waits for its phone")
    again(phone)
    phone.reply(phone.wait_request("BYE"), 200)
    check_equal(other.wait_final("BYE").status, 200, "BYE")


def test_killed_answered(lab):
    """What has gone up has an end that a crash cannot undo: a phone in a call
    is not called for it."""
    site(lab)
    phone = here(lab, "kept")
    caller, (invite,) = ringing(lab, phone, hold=60000)
    poll(lambda: "app" in {who for who, _ in lab.sipis.events(
        lab.newest_call())}, 5, "its 180 is written")
    phone.reply(invite, 200, tag=phone.urn[-8:], body=SDP)
    phone.wait_request("ACK")
    lab.sipis.kill()
    lab.sipis.start()
    again(phone)
    check(phone.quiet(is_request), "it is in that call")
    check_equal((phone.merged, lab.fake.requests(use="call")), ([], []),
                "what rings")
    check_equal(lab.sipis.call(lab.newest_call())["ended"], "answered",
                "its end")
    phone.in_dialog(invite, "BYE", 1, tag=phone.urn[-8:])
    check_equal(phone.wait_final("BYE").status, 200, "BYE of the phone")
    answered(lab, caller)


def test_answered_slowly(lab):
    """The disk may take its time: a 2xx does not wait for it for long."""
    site(lab)
    phone, pbx = here(lab, "kept"), Forking(lab, "slow")
    pbx.say("INVITE", "a")
    invite = phone.wait_request("INVITE")
    path = f"{lab.sipis.config['state_dir']}/sipis-calls.db"
    poll(lambda: lab.sipis.calls(), 5, "the call is written")
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        phone.reply(invite, 200, body=SDP)
        pbx.hears("INVITE", 200, "a")
        db.execute("ROLLBACK")
    db.close()
    lab.sipis.wait_log("the store is slow")
    poll(lambda: lab.sipis.call(lab.newest_call()).get("ended"), 5, "its end")


def test_answered_slowly_fork(lab):
    """A further branch that comes while the 2xx of the first waits for the
    disk rings nowhere: the call is taken."""
    site(lab)
    phone, other = two_here(lab)
    pbx = Forking(lab, "slow")
    pbx.say("INVITE", "a")
    invite = phone.wait_request("INVITE")
    other.reply(other.wait_request("INVITE"), 180, "Ringing")
    pbx.hears("INVITE", 180, "a")
    path = f"{lab.sipis.config['state_dir']}/sipis-calls.db"
    poll(lambda: lab.sipis.calls(), 5, "the call is written")
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        phone.reply(invite, 200, body=SDP)
        other.wait_request("CANCEL")
        pbx.say("INVITE", "b")
        answer = pbx.hears("INVITE", 480, "b")
        db.execute("ROLLBACK")
    db.close()
    pbx.say("ACK", "b", to=answer.get("To"))
    pbx.hears("INVITE", 200, "a")
    check(phone.quiet(lambda m: m.method == "INVITE" and not m.status),
          "who has answered is not called")
    check_equal(len(lab.sipis.calls()), 1, "calls")


def test_answered_stopped(lab):
    """sipis is stopped while a 2xx waits for the disk: its PBX has it."""
    site(lab)
    phone, other = two_here(lab)
    pbx = Forking(lab, "slow")
    pbx.say("INVITE", "a")
    invite = phone.wait_request("INVITE")
    other.wait_request("INVITE")
    path = f"{lab.sipis.config['state_dir']}/sipis-calls.db"
    poll(lambda: lab.sipis.calls(), 5, "the call is written")
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        phone.reply(invite, 200, body=SDP)
        phone.settle()
        lab.sipis.popen.terminate()
        pbx.hears("INVITE", 200, "a")
        db.execute("ROLLBACK")
    db.close()
    check_equal(lab.sipis.popen.wait(10), 0, "exit")


def test_outgoing_stopped(lab):
    """sipis is stopped while a call of a phone rings: both ends hear so."""
    phone, other, *_ = calls_out(lab, "tls")
    lab.sipis.stop()
    other.wait_request("CANCEL")
    check_equal(phone.wait_final("INVITE").status, 480, "the answer")


def test_outgoing_killed_udp(lab):
    """sipis dies while a call of a phone rings, which hears nothing of that:
    it has the answer."""
    phone, other, _, invite = calls_out(lab, "udp")
    lab.sipis.kill()
    lab.sipis.start()

    def says():
        other.reply(invite, 200, body=SDP)
        phone.pump(0.5)
        return any(m.status == 200 for m in phone.inbox)
    poll(says, 10, "200 at the phone")


def is_away(lab, phone):
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")


def test_hold_room(lab):
    """Who says much to a phone that is away takes no room of others, and none
    of its BYE."""
    site(lab)
    phone, other = here(lab, "away"), desk(lab)
    invite, _ = Call(phone, "300", ROUTE).taken_by(other)
    second, another = here(lab, "second", "101"), desk(lab, "301")
    theirs, _ = Call(second, "301", ROUTE).taken_by(another)
    second.close()
    is_away(lab, phone)
    for number in range(1, 18):
        other.in_dialog(invite, "INFO", number)
    # they may overtake each other at the PBX
    early = [other.wait_final("INFO", 4)]
    another.in_dialog(theirs, "BYE", 1)
    other.in_dialog(invite, "BYE", 18)
    early.append(other.wait_final("INFO", 4))
    again(phone)
    infos = [phone.wait_request("INFO") for _ in range(15)]
    for info in infos:
        phone.reply(info, 200)
    check_equal([m.status for m in early], [480, 480], "one too many, and "
                "the one that made room for BYE")
    check_equal(len({m.cseq for m in early + infos}), 17, "all of them")
    phone.reply(phone.wait_request("BYE"), 200)
    check_equal(other.wait_final("BYE").status, 200, "BYE")
    again(second)
    second.reply(second.wait_request("BYE"), 200)
    check_equal(another.wait_final("BYE").status, 200, "BYE of the others")


def two_targets(lab):
    """A PBX with two SRV targets, the better one of which has ended, and who
    speaks in place of both; a phone that is here."""
    dns.resolver(lab, {
        ("_sip._udp.demo.test", dns.SRV): [
            dns.srv(10, 5060, "one.demo.test"),
            dns.srv(20, 5060, "two.demo.test")],
        ("one.demo.test", dns.A): [dns.HOME],
        ("two.demo.test", dns.A): [socket.inet_aton("127.0.0.2")]})
    site(lab, outbound_proxy="demo.test")
    phone = here(lab, "caller")
    lab.pbx.stop()
    pbxs = [HandPhone(("127.0.0.1", 5080), "pbx", "udp", name=address,
                      address=address, port=5060)
            for address in ("127.0.0.1", "127.0.0.2")]
    lab.at_end += [pbx.close for pbx in pbxs]
    return phone, *pbxs


def test_target_silent(lab):
    """The better target says nothing: the call goes to the next one, and what
    follows there at once."""
    phone, dead, live = two_targets(lab)
    call = Call(phone, "300", ROUTE)
    call.invite()
    first = dead.wait_request("INVITE")
    invite = live.wait_request("INVITE")
    live.reply(invite, 180, "Ringing")
    phone.wait(lambda m: m.status == 180)
    live.reply(invite, 200, body=SDP)
    check_equal(call.final().status, 200, "the answer")
    live.wait_request("ACK")
    live.in_dialog(invite, "INFO", 1)
    phone.reply(phone.wait_request("INFO"), 200)
    check_equal(live.wait_final("INFO").status, 200, "the dialog")
    another = Call(phone, "300", ROUTE)
    another.invite()
    live.reply(live.wait_request("INVITE", 3), 486, "Busy Here")
    check_equal(another.final().status, 486, "another call")
    check(not [m for m in dead.heard() if m.get("Call-ID") == another.call_id],
          "the first one is left alone")
    dead.reply(first, 200, tag="late", body=SDP)
    dead.wait_request("ACK")
    check_equal(dead.wait_request("BYE").get("To").split("tag=")[1], "late",
                "it has woken up, and hears that nobody is there")
    check(phone.quiet(lambda m: "late" in m.get("To")), "nor does the phone")


def test_target_unavailable(lab):
    """503: the next one is asked, and this one again the next time."""
    phone, one, other = two_targets(lab)
    for method in ("INVITE", "MESSAGE"):
        call = Call(phone, "300", ROUTE)
        call.invite() if method == "INVITE" else call.send(method)
        one.reply(one.wait_request(method), 503, "Not Now")
        other.reply(other.wait_request(method), 404, "Not Found")
        check_equal(phone.wait_final(method).status, 404, "the answer")
    call.send("MESSAGE")
    one.reply(one.wait_request("MESSAGE"), 503, "Not Now")
    other.reply(other.wait_request("MESSAGE"), 503, "Not Now")
    check_equal(phone.wait_final("MESSAGE").status, 500, "of the last one")


def first_is_asked(phone, one, other):
    """The better target is not taken for dead."""
    call = Call(phone, "300", ROUTE)
    call.invite()
    invite = one.wait(lambda m: m.method == "INVITE" and not m.status, 4,
                      "INVITE at the better target")
    one.reply(invite, 486, "Busy Here")
    check_equal(call.final().status, 486, "a call")
    check_equal([m for m in other.heard() if is_request(m)], [],
                "what the other one has had")


def test_target_slow(lab):
    """A MESSAGE has no 100: that nothing is said for a while means nothing,
    and the other target does not have it as well."""
    phone, one, other = two_targets(lab)
    Call(phone, "300", ROUTE).send("MESSAGE")
    for _ in range(5):  # the fifth comes after 7.5 s; RFC 3261 17.1.2.2
        message = one.wait_request("MESSAGE")
    one.reply(message, 200)
    check_equal(phone.wait_final("MESSAGE").status, 200, "its answer")
    first_is_asked(phone, one, other)


def test_target_too_large(lab):
    """What no datagram can carry is its sender's affair: the target lives for
    the others."""
    phone, one, other = two_targets(lab)
    for method in ("MESSAGE", "INVITE"):
        call = Call(phone, "300", ROUTE, body="x" * 64900)
        call.invite() if method == "INVITE" else call.send(
            method, body="x" * 64900)
        answer = phone.wait_final(method)
        check_equal(answer.status, 513, method)
        if method == "INVITE":
            call.ack(answer)
    first_is_asked(phone, one, other)


def test_target_refuses(lab):
    """Nobody is there: what has not left goes to the next one, whatever it
    is, and what follows there at once."""
    dns.resolver(lab, {
        ("_sip._tcp.demo.test", dns.SRV): [
            dns.srv(10, 5060, "one.demo.test"),
            dns.srv(20, 5060, "two.demo.test")],
        ("one.demo.test", dns.A): [dns.HOME],
        ("two.demo.test", dns.A): [socket.inet_aton("127.0.0.2")]})
    site(lab, "tcp", outbound_proxy="demo.test")
    phone = here(lab, "caller")
    lab.pbx.stop()
    with socket.create_server(("127.0.0.2", 5060)) as door:
        door.settimeout(10)
        call = Call(phone, "300", ROUTE)
        call.send("MESSAGE")
        other = HandPhone(("127.0.0.1", 5080), "pbx", "udp", name="two")
        other.close()
        other.sock, other.transport = door.accept()[0], "tcp"
    lab.at_end.append(other.close)
    for _ in range(2):
        other.reply(other.wait_request("MESSAGE"), 200)
        check_equal(phone.wait_final("MESSAGE").status, 200, "its answer")
        call.send("MESSAGE")
    other.reply(other.wait_request("MESSAGE"), 200)
