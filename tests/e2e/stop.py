"""SIGTERM in the middle of everything: REGISTERs that the PBX does not answer,
calls that wait, requests half read.  The sanitizers look on."""

import os
import signal
import socket
import threading

from harness import check_equal, poll
from sip import Udp, host_port, request


def unread(port):
    """Bytes that wait at a port of this namespace."""
    total = 0
    for kind in ("udp", "tcp"):
        with open(f"/proc/net/{kind}", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        total += sum(int(row[4].split(":")[1], 16) for row in rows
                     if row[1].endswith(f":{port:04X}") and row[3] != "0A")
    return total


def more_of_it(lab, contact, transport):
    """From the PBX's address, as fast as it goes; returns what must stay
    open meanwhile."""
    if transport == "tls":
        return None  # the profile has no certificate to accept with
    where = host_port(contact)
    if transport == "tcp":
        sock = socket.create_connection(where, 5)
        for _ in range(20):
            sock.sendall(request("INVITE", contact, "127.0.0.1:9",
                                 transport="TCP"))
        sock.sendall(request("INVITE", contact, "127.0.0.1:9",
                             transport="TCP")[:-7])
        return sock
    udp = Udp("127.0.0.1")
    for _ in range(20):
        udp.send(request("INVITE", contact, udp.via), where)
    return udp


def amid(lab, transport):
    lab.kamailio()
    lab.daemons(transport)
    lab.phone(transport=transport, options=("--no-wake",))
    lab.wait_registered()
    (contact,) = lab.pbx.contacts("100")
    lab.caller("canceller.xml", CANCEL_MS=20000, REASON="")
    poll(lambda: lab.fake.requests(use="call"), 10, "push of a waiting call")
    port = 5061 if transport == "tls" else 5060
    os.killpg(lab.pbx.pid, signal.SIGSTOP)
    try:
        api = lab.sipis.api()
        asker = threading.Thread(target=lambda: attempt(api), daemon=True)
        asker.start()
        poll(lambda: unread(port), 10, "REGISTER that waits at the PBX")
        kept = more_of_it(lab, contact, transport)
        check_equal(lab.sipis.stop(), 0, "exit code after SIGTERM")
        del kept
    finally:
        os.killpg(lab.pbx.pid, signal.SIGCONT)
    lab.sipis.start()
    poll(lambda: lab.sipis.account("100"), 10, "account after the restart")


def attempt(api):
    try:
        api.create("300", "phone-300", "ab" * 32)
    except OSError:
        pass  # sipis went away in the middle of it


def test_udp(lab):
    amid(lab, "udp")


def test_tcp(lab):
    amid(lab, "tcp")


def test_tls(lab):
    amid(lab, "tls")
