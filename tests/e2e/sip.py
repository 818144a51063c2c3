"""SIP by hand, for what no well-behaved program sends."""

import itertools
import socket

COUNTER = itertools.count(1)


def request(method, uri, via, source="sip:200@demo.test", cseq=1,
            call_id=None, branch=None, tag="x", extra="", body="",
            transport="UDP", to=None):
    number = next(COUNTER)
    call_id = call_id or f"byhand-{number}"
    branch = branch or f"z9hG4bKbyhand{number}"
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/{transport} {via};branch={branch};rport\r\n"
            "Max-Forwards: 70\r\n"
            f"From: <{source}>;tag={tag}\r\n"
            f"To: <{to or uri}>\r\n"
            f"Call-ID: {call_id}\r\n"
            f"CSeq: {cseq} {method}\r\n"
            f"Contact: <sip:x@{via}>\r\n"
            f"{extra}{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


class Udp:
    """A socket with an address of its own."""

    def __init__(self, address="127.0.0.1", port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind((address, port))
        self.via = "%s:%d" % self.sock.getsockname()[:2]

    def send(self, data, to):
        self.sock.sendto(data, to)

    def answer(self, seconds):
        """The next datagram, or None if there is none in time."""
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(65535)
        except (TimeoutError, ConnectionError):
            return None

    def final(self, seconds):
        """Status of the first final answer."""
        while True:
            data = self.answer(seconds)
            if data is None:
                return None
            status = int(data.split(b" ", 2)[1])
            if status >= 200:
                return status


def host_port(uri):
    """Of a SIP URI without angle brackets."""
    rest = uri.split(";", 1)[0].split("@", 1)[-1].removeprefix("sip:")
    host, port = rest.rsplit(":", 1)
    return host, int(port)
