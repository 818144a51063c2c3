"""An HTTP/2 client for tests that want to be impolite.

Sends what it is told, in the order and with the mistakes it is told.  Of an
answer's header block only :status is decoded.  Standard library only.
"""

import select
import socket
import ssl
import struct
import time

DATA, HEADERS, PRIORITY, RST, SETTINGS = 0, 1, 2, 3, 4
PING, GOAWAY, WINDOW, CONTINUATION = 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1

STATIC_STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
DIGITS = {"00000": 0, "00001": 1, "00010": 2, "011001": 3, "011010": 4,
          "011011": 5, "011100": 6, "011101": 7, "011110": 8, "011111": 9}


def integer(value, bits, flags):
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([flags | value])
    out = bytes([flags | limit])
    value -= limit
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def literal(name, value):
    """Literal without indexing, no Huffman (RFC 7541 section 6.2.2)."""
    name = name.encode()
    value = value if isinstance(value, bytes) else value.encode()
    return (b"\0" + integer(len(name), 7, 0) + name +
            integer(len(value), 7, 0) + value)


def huffman_digits(data):
    bits = "".join(f"{b:08b}" for b in data)
    out = ""
    while bits and not set(bits) == {"1"}:
        for n in (5, 6):
            if bits[:n] in DIGITS:
                out += str(DIGITS[bits[:n]])
                bits = bits[n:]
                break
        else:
            raise ValueError("not a number")
    return int(out)


def status_of(block):
    """nghttp2 writes :status first, indexed or as a literal."""
    pos = 0
    while block[pos] & 0xe0 == 0x20:
        pos += 1
        while block[pos - 1] & 0x1f == 0x1f and block[pos] & 0x80:
            pos += 1
    first = block[pos]
    if first & 0x80:
        return STATIC_STATUS.get(first & 0x7f)
    length = block[pos + 1]
    value = block[pos + 2:pos + 2 + (length & 0x7f)]
    return huffman_digits(value) if length & 0x80 else int(value)


class Stream:
    def __init__(self):
        self.status = None
        self.body = b""
        self.ended = False
        self.rst = None
        self.sizes = []


class H2:
    def __init__(self, port, ca, host="127.0.0.1", sni="localhost",
                 alpn=("h2",), settings=(), client=None):
        ctx = ssl.create_default_context(cafile=ca)
        if alpn:
            ctx.set_alpn_protocols(list(alpn))
        if client:
            ctx.load_cert_chain(*client)
        raw = socket.create_connection((host, port), 10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = ctx.wrap_socket(raw, server_hostname=sni)
        self.settings, self.goaways, self.streams = {}, [], {}
        self.settings_count = self.pongs = 0
        self.closed = False
        self.next = 1
        self.buf = b""
        # no dynamic table: status_of() would have to follow it
        payload = b"".join(struct.pack(">HI", k, v)
                           for k, v in ((1, 0), *settings))
        self.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
                          self.frame(SETTINGS, 0, 0, payload))

    @staticmethod
    def frame(kind, flags, stream, payload=b""):
        return (struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) +
                struct.pack(">I", stream) + payload)

    def send(self, data):
        self.sock.sendall(data)

    def request_frames(self, headers, body=b"", end=True, host="localhost",
                       path="/", method="POST"):
        """(stream, bytes); the caller sends them."""
        stream, self.next = self.next, self.next + 2
        self.streams[stream] = Stream()
        block = (literal(":method", method) + literal(":scheme", "https") +
                 literal(":path", path) + literal(":authority", host))
        for name, value in headers:
            block += literal(name, value)
        flags = END_HEADERS | (END_STREAM if not body and end else 0)
        out = self.frame(HEADERS, flags, stream, block)
        while body:
            part, body = body[:16384], body[16384:]
            last = END_STREAM if not body and end else 0
            out += self.frame(DATA, last, stream, part)
        return stream, out

    def request(self, headers, body=b"", **kw):
        stream, data = self.request_frames(headers, body, **kw)
        self.send(data)
        return stream

    def _take(self):
        if len(self.buf) < 9:
            return False
        length = int.from_bytes(self.buf[:3], "big")
        if len(self.buf) < 9 + length:
            return False
        kind, flags = self.buf[3], self.buf[4]
        stream = int.from_bytes(self.buf[5:9], "big") & 0x7fffffff
        payload = self.buf[9:9 + length]
        self.buf = self.buf[9 + length:]
        self._handle(kind, flags, stream, payload)
        return True

    def _handle(self, kind, flags, stream, payload):
        st = self.streams.get(stream)
        if kind == SETTINGS and not flags & ACK:
            self.settings_count += 1
            for i in range(0, len(payload), 6):
                key, value = struct.unpack(">HI", payload[i:i + 6])
                self.settings[key] = value
            try:
                self.send(self.frame(SETTINGS, ACK, 0))
            except OSError:
                self.closed = True
        elif kind == PING and flags & ACK:
            self.pongs += 1
        elif kind == GOAWAY:
            last, code = struct.unpack(">II", payload[:8])
            self.goaways.append((last & 0x7fffffff, code, payload[8:]))
        elif kind == RST and st:
            st.rst = struct.unpack(">I", payload)[0]
        elif kind == HEADERS and st:
            st.status = status_of(payload)
            st.ended = bool(flags & END_STREAM)
        elif kind == DATA and st:
            st.body += payload
            st.sizes.append(len(payload))
            st.ended = bool(flags & END_STREAM)

    def until(self, done, timeout=5):
        """Reads until done() is true; False if it never was."""
        end = time.monotonic() + timeout
        while not done():
            if self._take():
                continue
            left = end - time.monotonic()
            if self.closed or left <= 0:
                return False
            if not self.sock.pending() and not select.select(
                    [self.sock], [], [], left)[0]:
                return False
            try:
                data = self.sock.recv(65536)
            except (ConnectionError, ssl.SSLError):
                data = b""
            if not data:
                self.closed = True
            self.buf += data
        return True

    def answer(self, stream, timeout=5):
        st = self.streams[stream]
        self.until(lambda: st.ended or st.rst is not None, timeout)
        return st

    def close(self):
        self.sock.close()
