"""The wire on 24998 by hand: frames of protobuf, good and bad."""

import socket
import ssl
import struct


def varint(value):
    out = b""
    value &= (1 << 64) - 1
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(fields):
    return b"".join(field(number, value) for number, value in fields)


def frame(body, fields):
    """An envelope; body is the number of its one field."""
    data = field(body, message(fields))
    return struct.pack(">I", len(data)) + data


HELLO, ENROL, ENROLLED, PUSH, RESULT, PING, PONG, REFUSED = \
    1, 2, 3, 4, 5, 7, 8, 10


def hello(**more):
    numbers = {"max_frame": 5, "now_ms": 8}
    return frame(HELLO, [(1, 1), (2, 1), (3, "test"), (4, "test")]
                 + [(numbers[k], v) for k, v in more.items()])


def parse(data):
    """[(number, int or bytes)] of one message."""
    out, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(data):
        key = number()
        if key & 7 == 0:
            out.append((key >> 3, number()))
        elif key & 7 == 2:
            size = number()
            out.append((key >> 3, data[at:at + size]))
            at += size
        else:
            raise ValueError("wire type")
    return out


class Wire:
    """A client with any certificate, or none."""

    def __init__(self, certs, name="tenant-demo", port=24998,
                 address="127.0.0.1", version=None, source=None):
        ctx = ssl.create_default_context(cafile=f"{certs}/mediator-ca.pem")
        if name:
            ctx.load_cert_chain(f"{certs}/{name}.pem", f"{certs}/{name}.key")
        if version:
            ctx.maximum_version = version
        raw = socket.create_connection((address, port), 5,
                                       source and (source, 0))
        self.sock = ctx.wrap_socket(raw, server_hostname="mediator.test")
        self.sock.settimeout(10)

    def send(self, data):
        self.sock.sendall(data)

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def frame(self):
        """(number of the envelope's field, its fields)"""
        (size,) = struct.unpack(">I", self.read(4))
        ((number, body),) = parse(self.read(size))
        return number, dict(parse(body))

    def until(self, wanted):
        while True:
            number, fields = self.frame()
            if number == wanted:
                return fields

    def closed(self):
        """Does the peer close?  What it sends before is returned."""
        seen = []
        try:
            while True:
                seen.append(self.frame())
        except (EOFError, ConnectionError, ssl.SSLError):
            return seen or True
        except TimeoutError:
            return False

    def close(self):
        self.sock.close()
