"""SIP by hand, for what no well-behaved program sends."""

import itertools
import re
import select
import socket
import time

COUNTER = itertools.count(1)


def request(method, uri, via, source="sip:200@demo.test", cseq=1,
            call_id=None, branch=None, tag="x", extra="", body="",
            transport="UDP", to_line=None):
    number = next(COUNTER)
    call_id = call_id or f"byhand-{number}"
    branch = branch or f"z9hG4bKbyhand{number}"
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/{transport} {via};branch={branch};rport\r\n"
            "Max-Forwards: 70\r\n"
            f"From: <{source}>;tag={tag}\r\n"
            f"To: {to_line or f'<{uri}>'}\r\n"
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


SDP = ("v=0\r\no=caller 1 1 IN IP4 127.0.0.9\r\ns=-\r\n"
       "c=IN IP4 127.0.0.9\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"
       "a=rtpmap:8 PCMA/8000\r\n")


class Caller:
    """One call from the trunk: its CANCEL leaves when it is told to, or so many
    seconds after the phone rings, whatever comes in between."""

    def __init__(self, pbx, user="100", domain="demo.test",
                 address="127.0.0.9"):
        self.udp, self.pbx = Udp(address), pbx
        self.uri = f"sip:{user}@{domain}"
        self.call_id = f"crossing-{next(COUNTER)}-{time.time_ns()}"
        self.branch = f"z9hG4bK{self.call_id}"
        self.finals, self.rang_at, self.cancelled = {}, None, False
        self.heard = False  # anything of the INVITE; RFC 3261 9.1

    def send(self, method, **more):
        self.udp.send(request(method, more.pop("uri", self.uri),
                              self.udp.via, call_id=self.call_id,
                              **more), self.pbx)

    def ack(self, text, status):
        """For a 200 to the phone itself, then BYE; else to the next hop."""
        to = re.search(r"(?im)^To:\s*(.*?)\r?$", text).group(1)
        if status >= 300:
            self.send("ACK", branch=self.branch, to_line=to)
            return
        where = re.search(r"(?im)^Contact:\s*<?([^>\r\n]+)", text).group(1)
        routes = re.findall(r"(?im)^Record-Route:\s*(.*?)\r?$", text)
        extra = "".join(f"Route: {r}\r\n" for r in reversed(routes))
        self.send("ACK", uri=where, to_line=to, extra=extra)
        self.send("BYE", uri=where, to_line=to, extra=extra, cseq=2)

    def take(self, data):
        text = data.decode(errors="replace")
        if not text.startswith("SIP/2.0"):
            return
        status = int(text.split(" ", 2)[1])
        method = re.search(r"(?im)^CSeq:\s*\d+\s+(\w+)", text).group(1)
        self.heard |= method == "INVITE"
        if method == "INVITE" and status == 180 and self.rang_at is None:
            self.rang_at = time.monotonic()
        if status >= 200:
            first = method not in self.finals
            self.finals.setdefault(method, status)
            if method == "INVITE" and (first or status >= 300):
                self.ack(text, status)

    def over(self):
        return "INVITE" in self.finals and \
            ("CANCEL" in self.finals or not self.cancelled) and \
            ("BYE" in self.finals or self.finals["INVITE"] != 200)

    def invite(self):
        self.send("INVITE", branch=self.branch, body=SDP)
        return self

    def cancel(self):
        self.send("CANCEL", branch=self.branch)
        self.cancelled = True

    def wait(self, cond, deadline):
        while not cond():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no end of the call: {self.finals}")
            if select.select([self.udp.sock], [], [], left)[0]:
                self.take(self.udp.sock.recv(65535))

    def hang_up(self, seconds=20):
        """Now; the final status of the INVITE."""
        deadline = time.monotonic() + seconds
        self.wait(lambda: self.heard, deadline)
        if "INVITE" not in self.finals:
            self.cancel()
        self.wait(self.over, deadline)
        return self.finals["INVITE"]

    def run(self, cancel_after, seconds=20):
        """The final status of the INVITE."""
        self.invite()
        deadline = time.monotonic() + seconds
        while not self.over():
            now = time.monotonic()
            if now > deadline:
                raise AssertionError(f"no end of the call: {self.finals}")
            due = deadline if self.rang_at is None or self.cancelled \
                else self.rang_at + cancel_after
            if due <= now:
                self.cancel()
                continue
            if select.select([self.udp.sock], [], [], due - now)[0]:
                self.take(self.udp.sock.recv(65535))
        return self.finals["INVITE"]
