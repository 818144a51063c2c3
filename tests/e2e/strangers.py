"""What does not come from the PBX, or not to a contact that is somebody's."""

import os
import socket
import ssl
import sys

from harness import check, check_equal, poll
from sip import Udp, host_port, request


def sleeping(lab, transport="udp"):
    lab.kamailio()
    lab.daemons(transport)
    lab.phone(transport=transport, options=("--no-wake",))
    lab.wait_registered()
    (contact,) = lab.pbx.contacts("100")
    return contact


def proves_alive(lab, contact):
    """A real call still gets its push; whatever came before has been read
    by then, for a socket is read in order."""
    del contact
    before = len(lab.fake.requests(use="call"))
    lab.gives_up(lambda: len(lab.fake.requests(use="call")) > before)
    check_equal(len(lab.fake.requests(use="call")), before + 1,
                "pushes: one for the real call, none for the stranger")


def test_invite_from_elsewhere(lab):
    """From an address that is not the PBX's: no answer, no push; but the
    log says once from where, should it be one after all."""
    contact = sleeping(lab)
    stranger = Udp("127.0.0.66")
    for _ in range(3):
        stranger.send(request("INVITE", contact, stranger.via),
                      host_port(contact))
    proves_alive(lab, contact)
    check_equal(stranger.answer(0.5), None, "an answer to a stranger")
    check_equal(len(lab.sipis.calls()), 1, "calls in the records")
    said = [line for line in lab.sipis.log().splitlines()
            if "127.0.0.66" in line]
    check_equal(len(said), 1, f"lines about the stranger: {said}")
    check("addresses" in said[0], f"the key to set: {said[0]}")


def test_unknown_contact(lab):
    """To a contact that is nobody's: the PBX hears so at once, a stranger
    hears nothing."""
    contact = sleeping(lab)
    host, port = host_port(contact)
    guess, stranger = Udp("127.0.0.1"), Udp("127.0.0.66")
    for user in ("100", "0" * 32, "A" * 26, "x" * 300, "%00", ""):
        for who in (stranger, guess):
            who.send(request("INVITE", f"sip:{user}@{host}:{port}", who.via),
                     (host, port))
        check_equal(guess.final(10), 404, f"the answer for user {user!r}")
    proves_alive(lab, contact)
    check_equal(stranger.answer(0.5), None, "an answer to a stranger")
    check('404 to INVITE: the contact "100" is no account' in lab.sipis.log(),
          "the log says whom the PBX asked for")
    check_equal(len(lab.sipis.calls()), 1, "calls in the records")
    for who in (stranger, guess):
        who.send(request("INVITE", f"sip:{'0' * 32}@{host}:{port}", who.via,
                         to_line="<sip:100@Demo.Test>"), (host, port))
    check_equal(guess.final(10), 404, "the answer to an old binding")
    ended = poll(lambda: [call["ended"] for call in lab.sipis.calls()
                          if call["ended"].startswith("refused: ")], 10,
                 "what the operator sees of it")
    check_equal(ended, ["refused: the PBX rang a contact that this account "
                        "has no more"], "that of the PBX, not the stranger's")


def test_garbage(lab):
    """Whatever bytes come: alive, no call, no push."""
    contact = sleeping(lab)
    where = host_port(contact)
    pbx = Udp("127.0.0.1")
    good = request("INVITE", contact, pbx.via)
    bad = [b"", b"\r\n\r\n", b"\0" * 100, os.urandom(1400), b"INVITE",
           good[:40], good.replace(b"Via", b"Vix"),
           good.replace(b"Call-ID: ", b"Call-ID:"),
           good.replace(b"CSeq: 1 ", b"CSeq: 99999999999 "),
           good.replace(b"CSeq: 1 INVITE", b"CSeq: 1 FOO"),
           good.replace(b"Content-Length: 0", b"Content-Length: 70000"),
           good.replace(b"Content-Length: 0", b"Content-Length: -1"),
           good.replace(b"SIP/2.0\r\n", b"SIP/9.9\r\n", 1),
           good.replace(b"From: ", b"From: <<<<"),
           good.replace(b"tag=x", b"tag=" + b"y" * 60000),
           b"SIP/2.0 200 OK\r\n\r\n", b"SIP/2.0 999\r\n" + good,
           b"ACK" + good[6:].replace(b"1 INVITE", b"1 ACK"),
           b"CANCEL" + good[6:].replace(b"1 INVITE", b"1 CANCEL")]
    for data in bad:
        pbx.send(data, where)
    caller = lab.caller("canceller.xml", CANCEL_MS=300, REASON="")
    check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
    check(lab.sipis.running(), "sipis lives")


def test_replayed_cancel(lab):
    """A CANCEL of a call that is over changes nothing; one that belongs to
    no call ends none."""
    contact = sleeping(lab)
    where = host_port(contact)
    pbx = Udp("127.0.0.1")
    caller = lab.caller("canceller.xml", CANCEL_MS=2500, REASON="")
    call = lab.newest_call()
    other = request("CANCEL", contact, pbx.via, call_id="no-such-call")
    for _ in range(3):
        pbx.send(other, where)
    check_equal(pbx.final(10), 481, "the answer to a CANCEL of no call")
    check(not lab.sipis.call(call).get("ended"), "the call goes on")
    check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
    check_equal(lab.sipis.call(call)["ended"], "cancelled", "its own end")


def test_other_methods(lab):
    """Out of dialog: a MESSAGE that nobody will read is not accepted."""
    contact = sleeping(lab)
    where = host_port(contact)
    pbx = Udp("127.0.0.1")
    for method, status in (("OPTIONS", 200), ("NOTIFY", 200),
                           ("MESSAGE", 405)):
        pbx.send(request(method, contact, pbx.via), where)
        check_equal(pbx.final(10), status, f"the answer to {method}")


def client_hello():
    """The first bytes of a TLS connection."""
    out = ssl.MemoryBIO()
    context = ssl.create_default_context()
    talk = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="demo.test")
    try:
        talk.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def turned_away(where, data):
    """Whether a connection from elsewhere ends without an answer to data."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.66", 0))
        sock.settimeout(5)
        try:
            sock.connect(where)
            sock.sendall(data)
            return sock.recv(1) == b""
        except ConnectionError:
            return True


def established(where, peer):
    """Connections of peer to this port, as the kernel has them."""
    peer = "%08X" % int.from_bytes(socket.inet_aton(peer), sys.byteorder)
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file.readlines()[1:]]
    return [row for row in rows if row[3] == "01" and
            row[1].endswith(f":{where[1]:04X}") and row[2].startswith(peer)]


def connections(lab, transport):
    """200 from elsewhere: all gone, and the PBX's own goes on."""
    contact = sleeping(lab, transport)
    where = host_port(contact)
    data = client_hello() if transport == "tls" else \
        request("OPTIONS", contact, "127.0.0.66:9", transport="TCP")
    check(turned_away(where, data), "the first stranger gets no answer")
    crowd = []
    for _ in range(200):
        sock = socket.socket()
        sock.bind(("127.0.0.66", 0))
        sock.setblocking(False)
        check(sock.connect_ex(where) in (0, 115), "a connection on its way")
        crowd.append(sock)
    proves_alive(lab, contact)
    poll(lambda: not established(where, "127.0.0.66"), 10, "all strangers gone")
    for sock in crowd:
        sock.close()


def test_connections_tcp(lab):
    connections(lab, "tcp")


def test_connections_tls(lab):
    connections(lab, "tls")
