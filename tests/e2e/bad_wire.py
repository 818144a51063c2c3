"""What a mediator must not swallow, while others are served on."""

import os
import ssl
import struct

from harness import check, check_equal
from wire import ENROL, ENROLLED, HELLO, PUSH, REFUSED, RESULT, Wire, frame, \
    hello

REJECTED, NOT_ALLOWED = 5, 8


def mediator(lab):
    lab.kamailio()
    lab.daemons()
    lab.phone(options=("--no-wake",))
    lab.wait_registered()


def others_untouched(lab, calls):
    def pushes():
        return len(lab.fake.requests(use="call", status=200))
    lab.gives_up(lambda: pushes() >= calls)
    check_equal(pushes(), calls, "pushes of the good tenant")


def test_bad_frames(lab):
    """Closed after the first one; the others do not notice."""
    mediator(lab)
    bad = {
        "too long": struct.pack(">I", 1 << 24),
        "longest": b"\xff\xff\xff\xff",
        "empty": struct.pack(">I", 0),
        "no envelope": struct.pack(">I", 8) + b"\xff" * 8,
        "unknown body": struct.pack(">I", 4) + b"\xfa\x01\x01x",
        "random": os.urandom(64),
    }
    for name, data in bad.items():
        wire = Wire(lab.certs)
        wire.send(hello())
        wire.until(HELLO)
        wire.send(data)
        check(wire.closed(), f"closed after: {name}")
        wire.close()
    others_untouched(lab, 1)


def test_before_hello(lab):
    """A push before the Hello, and a version nobody speaks."""
    mediator(lab)
    for name, data in (
            ("push first", frame(PUSH, [(1, os.urandom(16))])),
            ("version 9", frame(HELLO, [(1, 9), (2, 9), (3, "future")]))):
        wire = Wire(lab.certs)
        wire.send(data)
        check(wire.closed(), f"closed after: {name}")
        wire.close()
    others_untouched(lab, 1)


def refused_tls(lab, **how):
    try:
        wire = Wire(lab.certs, **how)
        wire.send(hello())
        wire.frame()
    except (ssl.SSLError, ConnectionError, EOFError, OSError):
        return True
    wire.close()
    return False


def test_certificates(lab):
    mediator(lab)
    check(refused_tls(lab, name=None), "no certificate: refused")
    check(refused_tls(lab, name="sipis"), "another CA's: refused")
    check(refused_tls(lab, name="mediator"), "one without URI SAN: refused")
    check(refused_tls(lab, version=ssl.TLSVersion.TLSv1_2),
          "TLS 1.2: refused")
    others_untouched(lab, 1)


def test_unknown_tenant(lab):
    """A good certificate of an operator that is not configured."""
    mediator(lab)
    wire = Wire(lab.certs, "tenant-other")
    try:
        wire.send(hello())
        seen = wire.closed()
        check(seen, "closed")
        check(not isinstance(seen, list) or
              all(number == REFUSED for number, _ in seen),
              f"nothing but Refused: {seen}")
    except ssl.SSLError:
        pass
    wire.close()
    others_untouched(lab, 1)


def test_foreign_app_and_handle(lab):
    """A foreign app is refused with a reason, a foreign handle as well;
    the connection stays."""
    mediator(lab)
    wire = Wire(lab.certs)
    wire.send(hello())
    wire.until(HELLO)
    wire.send(frame(ENROL, [(1, b"e" * 16), (2, "not-ours"), (3, "apns"),
                            (4, "ab" * 32), (5, "com.example.demo.voip"),
                            (6, "production"), (8, 1)]))
    answer = wire.until(ENROLLED)
    check_equal(answer.get(2), NOT_ALLOWED, "outcome of a foreign app")
    check(answer.get(3), "it comes with a reason")
    wire.send(frame(PUSH, [(1, b"p" * 16), (2, os.urandom(90)), (3, 1),
                           (4, "trace"), (5, "call"), (10, 1),
                           (11, (1 << 62))]))
    answer = wire.until(RESULT)
    check_equal(answer.get(2), NOT_ALLOWED, "outcome of a forged handle")
    wire.close()
    others_untouched(lab, 1)
