"""A real rtpengine on loopback, its ng protocol, and an end that talks RTP."""

import os
import re
import secrets
import shutil
import socket
import struct

from harness import check, check_equal, poll, skip
from stack import Proc

NG = ("127.0.0.1", 2223)
PORTS = (30000, 30200)


def encode(value):
    if isinstance(value, dict):
        return b"d" + b"".join(encode(k) + encode(v)
                               for k, v in value.items()) + b"e"
    data = value.encode()
    return b"%d:%s" % (len(data), data)


def decode(data, at=0):
    """The value there, and where it ends."""
    mark = data[at:at + 1]
    if mark == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if mark in (b"l", b"d"):
        at, items = at + 1, []
        while data[at:at + 1] != b"e":
            item, at = decode(data, at)
            items.append(item)
        return (items if mark == b"l"
                else dict(zip(items[::2], items[1::2]))), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1:end].decode(), end


class Rtpengine(Proc):
    """In user space, with a port range of its own."""

    def __init__(self, lab, name="rtpengine", ng=NG, ports=PORTS):
        binary = shutil.which("rtpengine")
        if not binary:
            skip("no rtpengine here; scripts/deps test installs "
                 "rtpengine-daemon")
        self.ng, self.ports = ng, ports
        super().__init__(name, [
            binary, "--config-file=none", "--foreground", "--log-stderr",
            "--table=-1", "--interface=127.0.0.1",
            "--listen-ng=%s:%d" % ng, "--log-level=6",
            f"--port-min={ports[0]}", f"--port-max={ports[1]}"], lab.folder)
        lab.add(self)

    def start(self):
        super().start()
        return self.wait_ready(lambda: self.ask("ping") is not None, 15)

    def ask(self, command, **more):
        """Its answer, or None."""
        cookie = secrets.token_hex(8).encode()
        keys = {k.replace("_", "-"): v for k, v in more.items()}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.3)
            sock.connect(self.ng)
            try:
                sock.send(cookie + b" " + encode({"command": command, **keys}))
                answer = sock.recv(65536)
            except OSError:
                return None
        return decode(answer.split(b" ", 1)[1])[0]

    def calls(self):
        return poll(lambda: self.ask("list"), 10,
                    f"word of {self.name}")["calls"]

    def wait_calls(self, number):
        poll(lambda: len(self.calls()) == number, 5,
             f"{number} calls at {self.name}")
        return self.calls()


def where(message):
    """(address, port) of the audio in the SDP of a message."""
    text = message.body.decode()
    return (re.search(r"(?m)^c=IN IP4 (\S+)", text).group(1),
            int(re.search(r"(?m)^m=audio (\d+)", text).group(1)))


class Rtp:
    """One end of the media: a socket, and the SDP that names it."""

    def __init__(self, lab, address, lines="", proto="RTP/AVP"):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, 0))
        lab.at_end.append(self.sock.close)
        self.addr = self.sock.getsockname()
        self.lines, self.proto, self.version = lines, proto, 1
        self.seq, self.ssrc = 0, os.urandom(4)

    def sdp(self):
        address, port = self.addr
        return (f"v=0\r\no=- 7 {self.version} IN IP4 {address}\r\ns=-\r\n"
                f"c=IN IP4 {address}\r\nt=0 0\r\n"
                f"m=audio {port} {self.proto} 8\r\n"
                f"a=rtpmap:8 PCMA/8000\r\n{self.lines}")

    def packet(self):
        self.seq += 1
        return struct.pack(">BBHI", 0x80, 8, self.seq,
                           160 * self.seq) + self.ssrc + os.urandom(160)

    def hears(self, data, source):
        """The next datagram is that, and comes from there."""
        self.sock.settimeout(5)
        try:
            seen, sender = self.sock.recvfrom(4096)
        except TimeoutError:
            raise AssertionError(f"nothing from {source}") from None
        check_equal(sender, source, "who sent it")
        check(seen == data, "its bytes")


def relayed(*messages):
    """The SDP of each names the rtpengine; where."""
    found = [where(m) for m in messages]
    for address, port in found:
        check(address == "127.0.0.1" and PORTS[0] <= port <= PORTS[1],
              f"an address of rtpengine: {address}:{port}")
    return found


def talk(one, at_one, other, at_other, packet=Rtp.packet):
    """Some packets each way.  at_one: where one has been told to send."""
    for _ in range(5):
        data = packet(one)
        one.sock.sendto(data, at_one)
        other.hears(data, at_other)
        data = packet(other)
        other.sock.sendto(data, at_other)
        one.hears(data, at_one)
