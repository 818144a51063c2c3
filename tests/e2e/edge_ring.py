"""A phone whose way breaks, or is replaced, while it has an INVITE; sipis started
again while it rings; a 2xx that comes late or again."""

import re
import socket
import struct

from edge import UDP, Forking, hand, here, known, metric, site
from handphone import SDP, Message, branch_of, routes_of, uuid_of
from harness import check, check_equal, poll


def reachable(lab, name, transport):
    """It is here, and can be pushed, also when a call is over."""
    token = f"{name}:APA91b" + "x" * 134
    lab.fake.token(token, provider="fcm")
    status, answer = lab.sipis.api().create(
        "100", f"urn:uuid:{uuid_of(name)}", token, platform="android")
    check_equal(status, 201, f"creation of {name}: {answer}")
    lab.wait_registered()
    phone = hand(lab, name, transport=transport)
    check_equal(phone.register().status, 200, f"REGISTER of {name}")
    return phone


def rings(pbx, *phones):
    """A call that rings at all of these."""
    pbx.say("INVITE", "one")
    invites = []
    for phone in phones:
        invites.append(phone.wait_request("INVITE"))
        phone.reply(invites[-1], 180, "Ringing", tag=phone.urn[-8:])
        pbx.hears("INVITE", 180, "one")
    return invites


def calls(lab, *transports, **profile):
    """A PBX, and phones that ring."""
    site(lab, **profile)
    phones = [reachable(lab, f"phone{n}", transport)
              for n, transport in enumerate(transports)]
    pbx = Forking(lab, "forking")
    return pbx, phones, rings(pbx, *phones)


def gone(lab, phone, left=0):
    phone.close()
    if phone.transport != "udp":
        poll(lambda: metric(lab, "sipis_edge_flows") == left, 5,
             "the end of its flow")


def back(phone):
    phone.connect()
    check_equal(phone.register().status, 200, "REGISTER again")


def takes(pbx, phone, invite):
    """It answers, and the PBX hears it."""
    phone.reply(invite, 200, tag=phone.urn[-8:], body=SDP)
    answer = pbx.hears("INVITE", 200, "one")
    check(phone.urn[-8:] in answer.get("To"), f"who has it: {answer.head}")
    routes = "".join(f"Route: {r}\r\n" for r in reversed(routes_of(answer)))
    pbx.hand.request("ACK", re.search(r"<([^>]+)>", answer.get(
        "Contact")).group(1), answer.get("To"), pbx.call_id, 1, "f", routes)
    phone.wait_request("ACK")
    return answer


def says_482(phone):
    phone.wait_merged()
    check_equal(len(phone.merged), 1, "482s")


def is_cancelled(phone, invite, reason=""):
    """The one that it rings by."""
    cancel = phone.wait_request("CANCEL")
    check_equal(branch_of(cancel), branch_of(invite), "the CANCEL's branch")
    check(reason in cancel.get("Reason"), f"{cancel.get('Reason')}")
    phone.reply(cancel, 200)
    phone.reply(invite, 487, "Request Terminated", tag=phone.urn[-8:])
    check_equal(branch_of(phone.wait_request("ACK")), branch_of(invite), "ACK")


def ended(lab, how, call=None):
    call = call or lab.newest_call()
    poll(lambda: lab.sipis.call(call).get("ended"), 5, "the end")
    check_equal(lab.sipis.call(call)["ended"], how, "end")


def moved(lab, transport):
    """It rings, has a new address, and registers from there."""
    pbx, (phone, other), (invite, second) = calls(lab, transport, "tcp")
    phone.close()
    back(phone)
    says_482(phone)
    takes(pbx, phone, invite)
    is_cancelled(other, second, "cause=200")
    ended(lab, "answered")


def test_moved_tls(lab):
    """The phone says 482 to the INVITE that comes again, which is no decline,
    and rings on."""
    moved(lab, "tls")


def test_moved_udp(lab):
    moved(lab, "udp")


def declines(lab, transport):
    pbx, (phone,), (invite,) = calls(lab, transport)
    phone.close()
    back(phone)
    says_482(phone)
    phone.reply(invite, 486, "Busy Here", tag=phone.urn[-8:])
    check_equal(branch_of(phone.wait_request("ACK")), branch_of(invite),
                "its ACK comes over the new way")
    pbx.hears("INVITE", 486, "one")
    ended(lab, "declined")


def test_signs_off_first(lab):
    """Some clients sign off, from their new address, and then register."""
    pbx, (phone,), (invite,) = calls(lab, "udp")
    phone.close()
    phone.connect()
    check_equal(phone.register(expires=0).status, 200, "signing off")
    check_equal(phone.register().status, 200, "REGISTER again")
    says_482(phone)
    takes(pbx, phone, invite)
    check_equal(lab.fake.requests(use="call"), [], "pushes")


def test_signs_off(lab):
    """It rings, wants no more calls, and hears of the end of this one."""
    pbx, (phone,), (invite,) = calls(lab, "tls")
    check_equal(phone.register(expires=0).status, 200, "signing off")
    pbx.cancel("one")
    is_cancelled(phone, invite)
    check_equal(lab.fake.requests(use="call"), [], "pushes")


def test_moved_declines_tls(lab):
    declines(lab, "tls")


def test_moved_declines_udp(lab):
    declines(lab, "udp")


def wants_no_second(phone):
    """Call waiting is off: what it takes for a second call is refused."""
    phone.second = 486, "Busy Here"


def test_moved_busy(lab):
    """It takes the INVITE that comes again for a second call, and wants none:
    nobody has declined, it rings on, and answers."""
    pbx, (phone,), (invite,) = calls(lab, "tls", wake_timeout_s=1)
    wants_no_second(phone)
    gone(lab, phone)
    back(phone)
    says_482(phone)
    call = lab.newest_call()
    poll(lambda: ("app", "rings on") in lab.sipis.events(call), 5, "the record")
    check(pbx.hand.nothing(lambda m: m.status >= 200, 1.5), "the call waits")
    check(phone.quiet(lambda m: m.method == "CANCEL"), "it rings on")
    takes(pbx, phone, invite)
    ended(lab, "answered")


def test_moved_busy_declines(lab):
    """The same, and its user declines."""
    pbx, (phone,), (invite,) = calls(lab, "udp")
    wants_no_second(phone)
    phone.close()
    back(phone)
    says_482(phone)
    phone.reply(invite, 603, "Decline", tag=phone.urn[-8:])
    pbx.hears("INVITE", 480, "one")
    ended(lab, "declined")


def rings_on(lab, phone, what="rings on"):
    """It is back, and refuses the INVITE that comes again."""
    call = lab.newest_call()
    del phone.merged[:]
    back(phone)
    phone.wait_merged()

    def last():
        events = lab.sipis.call(call)["events"]
        return [e["what"] for e in events if e["who"] == "app"][-1]
    poll(lambda: last() == what, 5, "the record")


def comes_anew(pbx, phone, tag="anew"):
    """Its app was killed: it rings by the INVITE that it has now."""
    phone.fresh()
    check_equal(phone.register().status, 200, "REGISTER again")
    invite = phone.wait_request("INVITE", 5)
    phone.reply(invite, 180, "Ringing", tag=tag)
    pbx.hand.wait(lambda m: m.status == 180 and tag in m.get("To"), 5,
                  "its 180")
    return invite


def moved_and_killed(lab, transport):
    pbx, (phone,), _ = calls(lab, transport)
    phone.close()
    rings_on(lab, phone)
    phone.close()
    again = comes_anew(pbx, phone)
    pbx.cancel("one")
    phone.wait(lambda m: m.method == "CANCEL" and
               branch_of(m) == branch_of(again), 5, "its CANCEL")


def test_moved_killed_tls(lab):
    """It rings on at its new address, then its app is killed, and comes anew:
    it has the INVITE again."""
    moved_and_killed(lab, "tls")


def test_moved_killed_udp(lab):
    moved_and_killed(lab, "udp")


def test_moved_killed_push(lab):
    """The same, and it does not come by itself: it is pushed."""
    _, (phone,), _ = calls(lab, "tls")
    gone(lab, phone)
    rings_on(lab, phone)
    pushes = len(lab.fake.requests(use="call"))
    gone(lab, phone)
    poll(lambda: len(lab.fake.requests(use="call")) > pushes, 5, "its push")


def test_moved_twice(lab):
    """It rings on, moves again, rings on, and answers by the first INVITE:
    what it rings by has no CANCEL."""
    pbx, (phone,), (invite,) = calls(lab, "tls")
    for _ in range(2):
        gone(lab, phone)
        rings_on(lab, phone)
    check(phone.quiet(lambda m: m.method == "CANCEL"), "it rings on")
    takes(pbx, phone, invite)
    ended(lab, "answered")


def test_moved_twice_cancel(lab):
    """The same, and the caller gives up."""
    pbx, (phone,), (invite,) = calls(lab, "tls")
    for _ in range(2):
        gone(lab, phone)
        rings_on(lab, phone)
    pbx.cancel("one")
    is_cancelled(phone, invite)


def test_moved_cancel(lab):
    """CANCEL goes where the phone is."""
    pbx, (phone,), (invite,) = calls(lab, "udp")
    phone.close()
    back(phone)
    says_482(phone)
    pbx.cancel("one")
    is_cancelled(phone, invite)


def test_other_transport(lab):
    """From TLS to TCP: that needs another branch.  The phone says 482, which is
    no decline, rings on, and is cancelled by the branch that it has."""
    pbx, (phone, other), (invite, _) = calls(lab, "tls", "tcp")
    gone(lab, phone, left=1)
    phone.transport, phone.edge = "tcp", UDP
    back(phone)
    says_482(phone)
    for each in phone, other:
        check(each.quiet(lambda m: m.method == "CANCEL"), "no CANCEL")
    check(not lab.sipis.call(lab.newest_call()).get("ended"), "it rings on")
    takes(pbx, phone, invite)
    other.wait_request("CANCEL")
    ended(lab, "answered")


def test_other_transport_anew(lab):
    """The same, and the app was started anew: it rings, and is cancelled."""
    pbx, (phone,), (invite,) = calls(lab, "tls")
    gone(lab, phone)
    phone.transport, phone.edge = "tcp", UDP
    phone.fresh()
    check_equal(phone.register().status, 200, "REGISTER again")
    again = phone.wait_request("INVITE")
    check("SIP/2.0/TCP" in again.get("Via"), again.get("Via"))
    phone.reply(again, 180, "Ringing", tag="anew")
    pbx.hears("INVITE", 180, "one")
    pbx.cancel("one")
    phone.wait(lambda m: m.method == "CANCEL" and
               branch_of(m) == branch_of(again), 5, "its CANCEL")


def test_answers_first(lab):
    """It is back, and answers before it has registered."""
    pbx, (phone, other), (invite, second) = calls(lab, "tls", "tls")
    gone(lab, phone, left=1)
    phone.connect()
    phone.reply(invite, 200, tag=phone.urn[-8:], body=SDP)
    pbx.hears("INVITE", 200, "one")
    is_cancelled(other, second, "cause=200")
    ended(lab, "answered")


def test_killed(lab):
    """Its app is killed while it rings: a push, and the new one rings."""
    pbx, (phone,), (invite,) = calls(lab, "tls")
    check_equal(lab.fake.requests(use="call"), [], "pushes")
    gone(lab, phone)
    poll(lambda: lab.fake.requests(use="call"), 5, "push")
    phone.fresh()
    check_equal(phone.register().status, 200, "REGISTER again")
    again = phone.wait_request("INVITE")
    phone.reply(again, 180, "Ringing", tag=phone.urn[-8:])
    pbx.hears("INVITE", 180, "one")
    takes(pbx, phone, again)
    ended(lab, "answered")


def test_killed_again(lab):
    """The push wakes it, and it is killed once more: another push."""
    pbx, (phone,), _ = calls(lab, "tls")
    for turn in (1, 2):
        gone(lab, phone)
        poll(lambda: len(lab.fake.requests(use="call")) == turn, 5, "push")
        phone.fresh()
        check_equal(phone.register().status, 200, "REGISTER again")
        again = phone.wait_request("INVITE")
        phone.reply(again, 180, "Ringing", tag=phone.urn[-8:])
        pbx.hears("INVITE", 180, "one")
    pbx.cancel("one")


def test_cancelled_while_away(lab):
    """The caller hangs up while the phone has no way: the ended push, and CANCEL
    as soon as it is back."""
    pbx, (phone,), (invite,) = calls(lab, "tls")
    gone(lab, phone)
    pbx.cancel("one")
    poll(lambda: lab.fake.requests(use="ended"), 5, "the ended push")
    back(phone)
    is_cancelled(phone, invite)
    check(phone.quiet(lambda m: m.method == "INVITE"), "INVITEs")


def test_answered_while_away(lab):
    """Another phone takes the call: the same."""
    pbx, (phone, other), (invite, second) = calls(lab, "tcp", "tls")
    gone(lab, phone, left=1)
    takes(pbx, other, second)
    poll(lambda: lab.fake.requests(use="ended"), 5, "the ended push")
    back(phone)
    is_cancelled(phone, invite, "cause=200")


def two_ways(lab):
    """A phone with two flows, the newer one last."""
    site(lab)
    known(lab, "dual")
    ways = [hand(lab, "dual"), hand(lab, "dual")]
    for number, way in enumerate(ways, 1):
        way.reg_id = number
        check_equal(way.register().status, 200, f"REGISTER {number}")
    return ways, Forking(lab, "forking")


def test_two_flows(lab):
    """The newest of its flows breaks: the INVITE goes over the other one,
    RFC 5626 section 5.3; so does the CANCEL."""
    ways, pbx = two_ways(lab)
    (invite,) = rings(pbx, ways[1])
    ways[1].close()
    again = ways[0].wait_request("INVITE")
    ways[0].reply(again, 180, "Ringing", tag=ways[0].urn[-8:])
    pbx.hears("INVITE", 180, "one")
    pbx.cancel("one")
    is_cancelled(ways[0], again)
    check_equal(lab.fake.requests(use="call"), [], "pushes")


def test_two_flows_silent(lab):
    """The newest says nothing, and nobody knows that it is dead: soon the
    INVITE goes over the other one.  What the newest says of it later is
    refused, and not for the caller."""
    ways, pbx = two_ways(lab)
    pbx.say("INVITE", "one")
    silent = ways[1].wait_request("INVITE")
    invite = ways[0].wait_request("INVITE", 5)
    ways[0].reply(invite, 180, "Ringing", tag=ways[0].urn[-8:])
    pbx.hears("INVITE", 180, "one")
    ways[1].reply(silent, 482, "Loop Detected", tag="merged", contact=False)
    ways[1].wait_request("ACK")
    takes(pbx, ways[0], invite)
    ended(lab, "answered")


def test_two_flows_busy(lab):
    """The same, and it is in another call."""
    ways, pbx = two_ways(lab)
    pbx.say("INVITE", "one")
    ways[0].reply(ways[0].wait_request("INVITE", 5), 486, "Busy Here")
    pbx.hears("INVITE", 486, "one")
    ended(lab, "declined")


def test_two_flows_slow(lab):
    """The newest takes its time, but has said that it is there."""
    ways, pbx = two_ways(lab)
    pbx.say("INVITE", "one")
    invite = ways[1].wait_request("INVITE")
    ways[1].reply(invite, 100, "Trying", tag="")
    check(ways[0].nothing(lambda m: m.method == "INVITE" and not m.status,
                          1.3), "once")
    ways[1].reply(invite, 180, "Ringing", tag=ways[1].urn[-8:])
    pbx.hears("INVITE", 180, "one")
    takes(pbx, ways[1], invite)


def started_again(lab, *transports, how="kill", **profile):
    """sipis dies while they ring, and is back."""
    pbx, phones, invites = calls(lab, *transports, **profile)
    call = lab.newest_call()
    poll(lambda: ("app", "180") in lab.sipis.events(call), 5, "the record")
    getattr(lab.sipis, how)()
    lab.sipis.start()
    return pbx, phones, invites


def says_bye(pbx, answer):
    routes = "".join(f"Route: {r}\r\n" for r in reversed(routes_of(answer)))
    pbx.hand.request("BYE", re.search(r"<([^>]+)>", answer.get(
        "Contact")).group(1), answer.get("To"), pbx.call_id, 2, "f", routes)


def hangs_up(pbx, phone, answer):
    """The PBX does."""
    says_bye(pbx, answer)
    phone.reply(phone.wait_request("BYE"), 200)
    check_equal(pbx.hand.wait_final("BYE").status, 200, "BYE")


def read_again(lab):
    poll(lambda: re.search(r"call .* sipis restored", lab.sipis.log()), 5,
         "the call that waits")


def test_restart_rings_on(lab):
    """The phone is back, says 482 to the INVITE that it has, and rings on: that
    is no decline; then it answers."""
    pbx, (phone,), (invite,) = started_again(lab, "tls")
    phone.connect()
    check_equal(phone.register().status, 200, "REGISTER again")
    says_482(phone)
    answer = takes(pbx, phone, invite)
    hangs_up(pbx, phone, answer)
    ended(lab, "answered")


def test_restart_busy(lab):
    """The same, and it wants no second call."""
    pbx, (phone,), (invite,) = started_again(lab, "tls", wake_timeout_s=1)
    wants_no_second(phone)
    phone.connect()
    check_equal(phone.register().status, 200, "REGISTER again")
    says_482(phone)
    check(pbx.hand.nothing(lambda m: m.status >= 200, 1.5), "the call waits")
    takes(pbx, phone, invite)
    ended(lab, "answered")


def test_restart_cancel(lab):
    """The same, and the caller gives up: nobody knows the branch of the INVITE
    that it rings by, so it hears of it by a push."""
    pbx, (phone,), _ = started_again(lab, "tls")
    phone.connect()
    check_equal(phone.register().status, 200, "REGISTER again")
    says_482(phone)
    pbx.cancel("one")
    poll(lambda: lab.fake.requests(use="ended"), 5, "the ended push")
    ended(lab, "cancelled")


def test_restart_repeats(lab):
    """The same, and it repeats its 180 of before: that gives nobody the branch
    for a CANCEL, so it hears of the end by a push."""
    pbx, (phone,), (invite,) = started_again(lab, "tls")
    rings_on(lab, phone, "482")
    phone.reply(invite, 180, "Ringing", tag=phone.urn[-8:])
    pbx.hand.wait(lambda m: m.status == 180 and phone.urn[-8:] in m.get("To"),
                  5, "its 180")
    pbx.cancel("one")
    poll(lambda: lab.fake.requests(use="ended"), 5, "the ended push")


def test_restart_killed(lab):
    """It rings on after a restart, then its app is killed: it is pushed, comes
    anew, and has the INVITE again."""
    pbx, (phone,), _ = started_again(lab, "tls")
    rings_on(lab, phone, "482")
    pushes = len(lab.fake.requests(use="call"))
    gone(lab, phone)
    poll(lambda: len(lab.fake.requests(use="call")) > pushes, 5, "its push")
    invite = comes_anew(pbx, phone)
    takes(pbx, phone, invite)
    ended(lab, "answered")


def test_restart_moved(lab):
    """The same, but it has only moved, and answers by the INVITE of before."""
    pbx, (phone,), (invite,) = started_again(lab, "tls")
    rings_on(lab, phone, "482")
    gone(lab, phone)
    rings_on(lab, phone, "482")
    check(phone.quiet(lambda m: m.method == "CANCEL"), "it rings on")
    takes(pbx, phone, invite)
    ended(lab, "answered")


def others_wait_in_vain(lab):
    """A call that began later: nobody wakes up in time."""
    here(lab, "deep", "101").close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")
    pbx = Forking(lab, "later", "101")
    pbx.say("INVITE", "later")
    answer = pbx.hears("INVITE", 480, "later")
    pbx.say("ACK", "later", to=answer.get("To"))


def test_restart_rings_long(lab):
    """A phone rings for longer than one may take to wake up, and its user does
    not know of restarts."""
    pbx, (phone,), (invite,) = started_again(lab, "tls", wake_timeout_s=1)
    call = lab.newest_call()
    poll(lambda: lab.fake.requests(use="call"), 5, "its push")
    others_wait_in_vain(lab)
    check(pbx.hand.quiet(lambda m: m.status >= 200), "the call waits")
    phone.connect()
    check_equal(phone.register().status, 200, "REGISTER again")
    says_482(phone)
    takes(pbx, phone, invite)
    ended(lab, "answered", call)


def answers_unregistered(lab, transport):
    """It answers before it knows that we were away.  It may speak on, though
    the PBX has to be asked for that, and is heard."""
    pbx, (phone,), (invite,) = started_again(lab, transport)
    read_again(lab)
    if transport != "udp":
        phone.connect()

    def says():
        phone.reply(invite, 200, tag=phone.urn[-8:], body=SDP)
        pbx.hand.pump(0.5)
        return any(m.method == "INVITE" and m.status == 200
                   for m in pbx.hand.inbox)
    poll(says, 5, "the 200 at the PBX")
    return pbx, phone, invite, takes(pbx, phone, invite)


def speaks_unregistered(lab, transport):
    pbx, phone, invite, answer = answers_unregistered(lab, transport)
    phone.in_dialog(invite, "INFO", 1, tag=phone.urn[-8:])
    pbx.hand.reply(pbx.hand.wait_request("INFO"), 200)
    check_equal(phone.wait_final("INFO").status, 200, "INFO of the phone")
    hangs_up(pbx, phone, answer)
    ended(lab, "answered")


def test_restart_answers_udp(lab):
    speaks_unregistered(lab, "udp")


def test_restart_answers_tls(lab):
    speaks_unregistered(lab, "tls")


def test_restart_answers_gone(lab):
    """The connection over which it has answered ends: nobody connects to where
    it was (RFC 5626), and what its PBX says waits for it."""
    pbx, phone, _, answer = answers_unregistered(lab, "tls")
    where = phone.sock.getsockname()
    # so that the port is free at once
    phone.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
    phone.close()
    with socket.create_server(where) as port:
        port.setblocking(False)
        says_bye(pbx, answer)
        phone.connect()
        check_equal(phone.register().status, 200, "REGISTER again")
        phone.reply(phone.wait_request("BYE"), 200)
        check_equal(pbx.hand.wait_final("BYE").status, 200, "BYE")
        try:
            port.accept()
        except BlockingIOError:
            return
    raise AssertionError("sipis connects to a phone")


def test_restart_answers_moved(lab):
    """It has a new address when it registers: what it has not answered at the
    old one comes there."""
    pbx, phone, _, answer = answers_unregistered(lab, "udp")
    says_bye(pbx, answer)
    phone.wait_request("BYE")
    lab.at_end.append(phone.sock.close)
    phone.connect()
    check_equal(phone.register().status, 200, "REGISTER again")
    phone.reply(phone.wait_request("BYE"), 200)
    check_equal(pbx.hand.wait_final("BYE").status, 200, "BYE")


def heard_to_the_end(phone, method):
    """What a connection that has ended has still brought."""
    try:
        phone.heard()
    except OSError:
        pass
    return [m for m in phone.inbox if m.method == method]


def test_stopped(lab):
    """sipis is stopped as it should be: who rings hears nothing of that."""
    pbx, phones, invites = started_again(lab, "tls", "udp", how="stop")
    check(not heard_to_the_end(phones[0], "CANCEL"), "the old connection")
    rings_on(lab, phones[0], "482")
    check(phones[1].quiet(lambda m: m.method == "CANCEL"), "UDP")
    check(phones[0].quiet(lambda m: m.method == "CANCEL"), "TLS")
    takes(pbx, phones[0], invites[0])
    ended(lab, "answered")


def over_and_forgotten(lab, transport):
    """A call that is over, and its INVITE as if no transaction knew it."""
    pbx, (phone,), (invite,) = calls(lab, transport)
    pbx.cancel("one")
    is_cancelled(phone, invite)
    branch = branch_of(invite).encode()
    return pbx, phone, Message(invite.data.replace(branch, branch + b"0"))


def rings_with_two_tos(who, invite):
    who.reply(invite, 180, "Ringing", tag="late",
              extra="To: <sip:100@demo.test>\r\n")


def test_two_tos(lab):
    """A late 18x with two To, of which the second has no tag."""
    _, phone, late = over_and_forgotten(lab, "tls")
    rings_with_two_tos(phone, late)
    cancel = phone.wait_request("CANCEL")
    check_equal(branch_of(cancel), branch_of(late), "the CANCEL")
    check("tag" not in cancel.get("To"), f"its To: {cancel.get('To')}")
    check(lab.sipis.running(), "it lives")


def test_two_tos_stranger(lab):
    """The same of somebody who has seen token and Call-ID, on a connection of
    his own."""
    _, _, late = over_and_forgotten(lab, "tls")
    stranger = hand(lab, "stranger", user="300", transport="tcp")
    rings_with_two_tos(stranger, late)
    stranger.settle()
    check(lab.sipis.running(), "it lives")


def test_rings_late_for_ever(lab):
    """What a phone says again and again is a line of the timeline each time
    for a while only."""
    _, phone, late = over_and_forgotten(lab, "udp")
    for n in range(60):
        phone.reply(late, 180, "Ringing", tag="late")
        phone.wait_request("CANCEL")

    def lines():
        call = lab.sipis.call(lab.newest_call())
        return sum(e["what"] == "CANCEL to phone" for e in call["events"])
    poll(lambda: lines() >= 30, 5, "lines")
    check(lines() < 40, f"{lines()} lines")


def test_answers_without_tag(lab):
    """A 200 without a To tag that comes again is taken once."""
    pbx, (phone,), (invite,) = calls(lab, "udp")
    branch = branch_of(invite).encode()
    late = Message(invite.data.replace(branch, branch + b"0"))
    for which in (invite,) + (late,) * 5:
        phone.reply(which, 200, tag="", body=SDP)
    pbx.hears("INVITE", 200, "one")
    ended(lab, "answered")
    check_equal(lab.sipis.stop(), 0, "exit: nothing has leaked")


def silent_then_rings(lab, pbx, phone, other):
    """One is silent until its transaction is over, and rings then."""
    pbx.say("INVITE", "one")
    invite, second = [p.wait_request("INVITE") for p in (phone, other)]
    other.reply(second, 180, "Ringing", tag=other.urn[-8:])
    pbx.hears("INVITE", 180, "one")
    poll(lambda: ("app", "says nothing") in
         lab.sipis.events(lab.newest_call()), 50, "timer B")
    phone.reply(invite, 180, "Ringing", tag=phone.urn[-8:])
    poll(lambda: lab.sipis.events(lab.newest_call()).get(("app", "180")), 5,
         "its 180")
    phone.heard()
    phone.inbox.clear()
    return invite, second


def test_silent_then_moved(lab):
    """It says nothing for as long as its INVITE is repeated, rings then, and
    moves: with a user who takes one call at a time it has not declined."""
    site(lab, ring_timeout_s=120)
    phone, other = [reachable(lab, n, "udp") for n in ("silent", "other")]
    pbx = Forking(lab, "forking")
    invite, second = silent_then_rings(lab, pbx, phone, other)
    wants_no_second(phone)
    phone.close()
    back(phone)
    phone.wait_merged()
    check(phone.quiet(lambda m: m.method == "CANCEL"), "it rings on")
    check(("app", "486") not in lab.sipis.events(lab.newest_call()),
          "nobody has declined")
    takes(pbx, phone, invite)
    ended(lab, "answered")
    is_cancelled(other, second)


def test_restart_second_phone(lab):
    """One of two answers so; the other one, back already, is told."""
    pbx, (phone, other), (invite, second) = started_again(lab, "udp", "tls")
    other.fresh()
    check_equal(other.register().status, 200, "REGISTER again")
    again = other.wait_request("INVITE")
    other.reply(again, 180, "Ringing", tag=other.urn[-8:])
    pbx.hears("INVITE", 180, "one")
    takes(pbx, phone, invite)
    is_cancelled(other, again, "cause=200")


def hears_no_more(pbx):
    check(pbx.hand.quiet(lambda m: m.status >= 200 and m.method == "INVITE"),
          f"answers at the PBX: {pbx.hand.inbox}")


def test_loser_repeats(lab):
    """Two answer at once.  The 200 of the second gets ACK and BYE as often as it
    comes, and does not reach the PBX; that of the first one does."""
    pbx, (first, second), (one, other) = calls(lab, "udp", "udp")
    first.reply(one, 200, tag=first.urn[-8:], body=SDP)
    pbx.hears("INVITE", 200, "one")
    for _ in range(3):
        second.reply(other, 200, tag=second.urn[-8:], body=SDP)
        second.wait_request("ACK")
        second.wait_request("BYE")
    hears_no_more(pbx)
    takes(pbx, first, one)


def test_late_repeats(lab):
    """A 200 that crosses the CANCEL, and comes again."""
    pbx, (phone,), (invite,) = calls(lab, "udp")
    pbx.cancel("one")
    phone.wait_request("CANCEL")
    for _ in range(3):
        phone.reply(invite, 200, tag=phone.urn[-8:], body=SDP)
        phone.wait_request("ACK")
        phone.wait_request("BYE")
    hears_no_more(pbx)


def rings_late(lab, transport):
    """A call is over, and so is the transaction of its INVITE: nobody waits for
    what its phone says."""
    pbx, (phone,), (invite,) = calls(lab, transport)
    pbx.cancel("one")
    is_cancelled(phone, invite)
    branch = branch_of(invite).encode()
    forgotten = Message(invite.data.replace(branch, branch + b"0"))
    phone.reply(forgotten, 180, "Ringing", tag="late")
    cancel = phone.wait_request("CANCEL")
    check_equal(branch_of(cancel), branch_of(forgotten), "the CANCEL's branch")
    check_equal(cancel.get("To"), invite.get("To"), "its To")
    check_equal(cancel.cseq, invite.cseq.replace("INVITE", "CANCEL"), "CSeq")
    phone.reply(cancel, 200)
    phone.reply(forgotten, 487, "Request Terminated", tag="late")
    check_equal(branch_of(phone.wait_request("ACK")), branch_of(forgotten),
                "ACK")
    check(any("rings late" in (e.get("detail") or "")
              for e in lab.sipis.call(lab.newest_call())["events"]),
          "the timeline says so")
    phone.reply(forgotten, 200, tag="late", body=SDP)
    phone.wait_request("ACK")
    phone.reply(phone.wait_request("BYE"), 200)
    hears_no_more(pbx)


def test_rings_late_tls(lab):
    """A phone whose app was frozen rings when the call is over: its 180 gets
    CANCEL; it answers all the same: ACK and BYE."""
    rings_late(lab, "tls")


def test_rings_late_udp(lab):
    rings_late(lab, "udp")


def test_rings_late_elsewhere(lab):
    """The same, and another phone has the call: that is no missed call."""
    pbx, (phone, other), (invite, second) = calls(lab, "tls", "tls")
    takes(pbx, other, second)
    is_cancelled(phone, invite, "cause=200")
    branch = branch_of(invite).encode()
    forgotten = Message(invite.data.replace(branch, branch + b"0"))
    phone.reply(forgotten, 180, "Ringing", tag="late")
    is_cancelled(phone, forgotten, "cause=200")


def test_silent_and_over(lab):
    """A phone that has said nothing gets no CANCEL (RFC 3261 9.1), and nobody
    says that it had."""
    site(lab)
    phone = reachable(lab, "silent", "tls")
    pbx = Forking(lab, "forking")
    pbx.say("INVITE", "one")
    invite = phone.wait_request("INVITE")
    pbx.cancel("one")
    ended(lab, "cancelled")
    phone.settle()
    check_equal([m for m in phone.inbox if m.method == "CANCEL"], [], "CANCEL")
    call = lab.newest_call()
    poll(lambda: ("sipis", "CANCEL waits for phone") in lab.sipis.events(call),
         5, "what became of it")
    check(("sipis", "CANCEL to phone") not in lab.sipis.events(call), "told")
    phone.reply(invite, 180, "Ringing", tag="late")
    is_cancelled(phone, invite)


def test_swap_loser(lab):
    """Two take an INVITE that replaces a call.  As often as the second says so
    it has ACK and BYE; the PBX hears the first one alone, again if need be."""
    site(lab)
    first, second = (reachable(lab, f"phone{n}", "udp") for n in range(2))
    pbx = Forking(lab, "forking")
    pbx.say("INVITE", "one",
            extra="Replaces: of-old;to-tag=1;from-tag=2\r\n")
    one, other = (phone.wait_request("INVITE") for phone in (first, second))
    first.reply(one, 200, tag=first.urn[-8:], body=SDP)
    pbx.hears("INVITE", 200, "one")
    for _ in range(3):
        second.reply(other, 200, tag=second.urn[-8:], body=SDP)
        second.wait_request("ACK")
        second.reply(second.wait_request("BYE"), 200)
    hears_no_more(pbx)
    takes(pbx, first, one)
    check_equal(lab.sipis.calls(), [], "calls that waited")
