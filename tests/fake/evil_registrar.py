#!/usr/bin/python3
"""A SIP registrar that behaves badly on request; standard library only.

usage: evil_registrar.py --listen ADDR:PORT [--password P] [--realm R]
           [--behaviour NAME[:ARG]] [--log FILE.jsonl] [--tls CERT,KEY]
       evil_registrar.py --list

UDP and TCP on one port (and TLS on one of its own).  Every REGISTER is
recorded with the monotonic time.  Commands on stdin, see README.md.  In a
test's own process:

    reg = evil_registrar.Registrar().start()
    reg.behave("503:30")
    reg.then("ok")                  # once; the last one stays
    reg.wait(2, timeout=5)          # two REGISTERs, not their repeats
    reg.records()
    reg.stop()

An "auth+" before a name asks for the password first: "auth+423:120".
A password of "pw-%s" stands for "pw-" and the user.
"""

import argparse
import hashlib
import json
import os
import re
import socket
import ssl
import struct
import sys
import threading
import time

COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact",
           "l": "content-length", "c": "content-type", "s": "subject"}
REASONS = {100: "Trying", 200: "OK", 301: "Moved Permanently",
           302: "Moved Temporarily", 305: "Use Proxy", 400: "Bad Request",
           401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
           407: "Proxy Authentication Required", 408: "Request Timeout",
           420: "Bad Extension", 423: "Interval Too Brief",
           480: "Temporarily Unavailable", 486: "Busy Here",
           500: "Server Internal Error", 503: "Service Unavailable",
           504: "Server Time-out", 600: "Busy Everywhere", 603: "Decline"}
SO_TIMESTAMPNS = 35     # Linux; Python has no name for it
HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Message:
    """A SIP message; header names in lower case, in order."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        text = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace"))
        lines = text.split("\r\n")
        self.start = lines[0]
        self.headers = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            self.headers.append((COMPACT.get(name, name), value.strip()))
        words = self.start.split(" ", 2)
        self.is_request = not self.start.startswith("SIP/")
        self.method = words[0] if self.is_request else None
        self.uri = words[1] if self.is_request else None
        self.status = None if self.is_request else int(words[1])

    def get(self, name, default=""):
        return next((v for n, v in self.headers if n == name), default)

    def all(self, name):
        return [v for n, v in self.headers if n == name]

    @property
    def fault(self):
        """What makes an honest PBX drop it, or None."""
        names = [n for n, _ in self.headers]
        for name in ("via", "from", "to", "call-id", "cseq", "max-forwards"):
            if name not in names:
                return f"no {name}"
        for name in ("from", "to", "call-id", "cseq", "max-forwards",
                     "content-length", "expires", "user-agent"):
            if names.count(name) > 1:
                return f"two {name}"
        if not self.branch.startswith("z9hG4bK"):
            return "branch without cookie"
        if self.get("cseq").split()[-1] != self.method:
            return "CSeq of another method"
        return None

    @property
    def branch(self):
        found = re.search(r"branch=([^;,\s]+)", self.get("via"))
        return found.group(1) if found else ""

    @property
    def cseq(self):
        return int(self.get("cseq").split()[0])

    @property
    def user(self):
        found = re.search(r"sips?:([^@>;]+)@", self.get("to"))
        return found.group(1) if found else ""


class Peer:
    """Where a message came from and when, and how an answer gets back."""

    def __init__(self, transport, addr, send, close=None, at=None):
        self.transport, self.addr = transport, addr
        self.send, self.close, self.at = send, close, at

    def __str__(self):
        return f"{self.addr[0]}:{self.addr[1]}"


class Answer:
    """What goes out.  raw: bytes instead; action: reset or close."""

    def __init__(self, status=0, headers=(), contact=None, raw=None,
                 delay=0.0, action=None, challenge=False, copies=1,
                 after=None):
        self.status, self.headers = status, list(headers)
        self.contact, self.raw, self.delay = contact, raw, delay
        self.action, self.challenge, self.copies = action, challenge, copies
        self.after = after


BEHAVIOURS = {}


def behaviour(name, text):
    def add(f):
        BEHAVIOURS[name] = (f, text)
        return f
    return add


def params(text):
    """name=value pairs of a digest header."""
    found = re.findall(r'(\w+)\s*=\s*("((?:[^"\\]|\\.)*)"|[^,\s]+)', text)
    return {k.lower(): (q if v.startswith('"') else v) for k, v, q in found}


def came_at(stamps):
    """By the kernel's word: a datagram may have waited for us."""
    (_, _, stamp), = stamps
    seconds, nanos = struct.unpack("@ll", stamp)
    return time.monotonic() - (time.time() - seconds - nanos / 1e9)


class Registrar:
    def __init__(self, listen="127.0.0.1:0", password="pw-%s", realm="test",
                 behaviour="ok", log=None, tls=None):
        host, _, port = listen.rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)
        self.password, self.realm = password, realm
        self.default, self.queues, self.fixed = behaviour, {None: []}, {}
        self.log = open(log, "a", encoding="utf-8") if log else None
        self.tls = tls
        self.lock = threading.Condition()
        self.seen, self.made = [], {}
        self.nonces, self.nonce_no, self.bindings = {}, 0, {}
        self.memory, self.calls, self.socks, self.conns = {}, {}, [], []
        self.running = False

    # -- life

    def _bind(self, kind, port):
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        s = socket.socket(family, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((self.host, port))
        return s

    def start(self):
        for _ in range(50):
            udp = self._bind(socket.SOCK_DGRAM, self.port)
            udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            port = udp.getsockname()[1]
            try:
                tcp = self._bind(socket.SOCK_STREAM, port)
                break
            except OSError:
                udp.close()
                if self.port:
                    raise
        else:
            raise OSError("no port free for both UDP and TCP")
        self.port = self.udp = self.tcp = port
        self.udp_sock = udp
        self.running = True
        self.socks = [udp, tcp]
        self._thread(self._udp_loop, udp)
        self._listen(tcp, None)
        if self.tls:
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ctx.load_cert_chain(*self.tls)
            s = self._bind(socket.SOCK_STREAM, 0)
            self.tls_port = s.getsockname()[1]
            self.socks.append(s)
            self._listen(s, ctx)
        return self

    def _listen(self, sock, ctx):
        sock.listen(1024)
        self._thread(self._accept_loop, sock, ctx)

    @staticmethod
    def _thread(f, *args):
        threading.Thread(target=f, args=args, daemon=True).start()

    def stop(self):
        self.running = False
        for s in self.socks + self.conns:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        if self.log:
            self.log.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def _udp_loop(self, sock):
        while self.running:
            try:
                data, stamps, _, addr = sock.recvmsg(65536, 64)
            except OSError:
                return
            if not data.strip():
                continue
            self._message(data, Peer("udp", addr,
                                     lambda d, a=addr: self._sendto(d, a),
                                     at=came_at(stamps)))

    def _sendto(self, data, addr):
        try:
            self.udp_sock.sendto(data, addr)
        except OSError:
            pass

    def _accept_loop(self, sock, ctx):
        while self.running:
            try:
                conn, addr = sock.accept()
            except OSError:
                return
            self._thread(self._conn_loop, conn, addr, ctx)

    def _conn_loop(self, conn, addr, ctx):
        if ctx:
            try:
                conn = ctx.wrap_socket(conn, server_side=True)
            except OSError:
                return
        self.conns.append(conn)
        peer = Peer("tls" if ctx else "tcp", addr,
                    lambda d: self._conn_send(conn, d),
                    lambda reset: self._conn_close(conn, reset))
        buf = b""
        while self.running:
            try:
                data = conn.recv(65536)
            except OSError:
                return
            if not data:
                return
            buf = self._stream(buf + data, peer)

    @staticmethod
    def _conn_send(conn, data):
        try:
            conn.sendall(data)
        except OSError:
            pass

    @staticmethod
    def _conn_close(conn, reset):
        if reset:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
        try:
            if not reset:
                conn.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        conn.close()

    def _stream(self, buf, peer):
        while True:
            while buf.startswith(b"\r\n"):
                if buf.startswith(b"\r\n\r\n"):
                    peer.send(b"\r\n")
                buf = buf.lstrip(b"\r\n")
            head = buf.find(b"\r\n\r\n")
            if head < 0:
                return buf
            found = re.search(rb"\r\n(?:content-length|l)\s*:\s*(\d+)",
                              buf[:head], re.I)
            end = head + 4 + (int(found.group(1)) if found else 0)
            if len(buf) < end:
                return buf
            self._message(buf[:end], peer)
            buf = buf[end:]

    # -- what a test says and asks

    def behave(self, spec, user=None):
        check(spec)
        with self.lock:
            self.queues[user] = []
            self.fixed[user] = spec
            if user is None:
                self.default = spec

    def then(self, spec, user=None):
        check(spec)
        with self.lock:
            self.queues.setdefault(user, []).append(spec)

    def clear(self):
        with self.lock:
            self.seen, self.made = [], {}
            self.queues, self.fixed, self.memory = {None: []}, {}, {}
            self.bindings, self.nonces = {}, {}

    def records(self, user=None, repeats=False):
        with self.lock:
            return [r for r in self.seen
                    if (user is None or r["user"] == user)
                    and (repeats or not r["retransmission"])]

    def count(self, user=None):
        return len(self.records(user))

    def wait(self, n, timeout=5, user=None):
        """The records, once there are n of them; TimeoutError."""
        end = time.monotonic() + timeout
        with self.lock:
            while True:
                got = [r for r in self.seen if not r["retransmission"]
                       and (user is None or r["user"] == user)]
                if len(got) >= n:
                    return got
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{len(got)} of {n} REGISTERs")
                self.lock.wait(left)

    # -- digest

    def challenge(self, alg="MD5", realm=None, qop='"auth"', stale=False,
                  nonce=None, extra=""):
        self.nonce_no += 1
        nonce = nonce or f"n{self.nonce_no}.{os.urandom(6).hex()}"
        realm = self.realm if realm is None else realm
        self.nonces[nonce] = realm
        text = f'Digest realm="{realm}", nonce="{nonce}"'
        if alg:
            text += f", algorithm={alg}"
        if qop:
            text += f", qop={qop}"
        if stale:
            text += ", stale=true"
        return text + extra

    def password_of(self, user):
        return self.password % user if "%s" in self.password else self.password

    def check_auth(self, msg):
        """What the credentials are worth; None without any."""
        text = msg.get("authorization") or msg.get("proxy-authorization")
        if not text:
            return None
        p = params(text)
        alg = p.get("algorithm", "MD5")
        base = alg[:-5] if alg.lower().endswith("-sess") else alg
        h = HASHES.get(base.upper())
        out = {"alg": alg, "realm": p.get("realm"), "nonce": p.get("nonce"),
               "nc": int(p.get("nc", "0"), 16), "qop": p.get("qop"),
               "username": p.get("username"), "valid": False,
               "known_nonce": p.get("nonce") in self.nonces}
        if not h:
            return out

        def digest(s):
            return h(s.encode()).hexdigest()
        user = p.get("username", "")
        ha1 = digest(f"{user}:{p.get('realm')}:{self.password_of(user)}")
        if base != alg:
            ha1 = digest(f"{ha1}:{p.get('nonce')}:{p.get('cnonce')}")
        ha2 = digest(f"{msg.method}:{p.get('uri')}")
        middle = p.get("nonce", "")
        if p.get("qop"):
            middle += f":{p.get('nc')}:{p.get('cnonce')}:{p['qop']}"
        out["valid"] = (digest(f"{ha1}:{middle}:{ha2}") == p.get("response")
                        and out["known_nonce"]
                        and self.nonces[p["nonce"]] == p.get("realm"))
        return out

    # -- REGISTER

    def _message(self, data, peer):
        try:
            msg = Message(data)
        except (ValueError, IndexError):
            return
        with self.lock:
            if not msg.is_request:
                self._response(msg, peer)
            elif msg.method == "REGISTER":
                self._register(msg, peer)
            elif msg.method != "ACK":
                self._other(msg, peer)
            self.lock.notify_all()

    def _other(self, msg, peer):
        call = self.calls.get(msg.get("call-id"))
        if call and msg.method == "BYE":
            call.ended = True
        peer.send(self.build(msg, peer, Answer(200)))

    def _spec(self, user):
        for who in (user, None):
            queue = self.queues.get(who)
            if queue:
                return who, queue[0], True
            if who in self.fixed:
                return who, self.fixed[who], False
        return None, self.default, False

    def _register(self, msg, peer):
        key = (msg.get("call-id"), msg.cseq, msg.branch)
        repeat = key in self.made
        auth = self.check_auth(msg)
        record = self._record(msg, peer, auth, repeat)
        if repeat:
            answer = self.made[key]
        elif msg.fault:
            answer = self.made[key] = Answer(400)
        else:
            who, spec, queued = self._spec(msg.user)
            record["behaviour"] = spec
            answer = self.answer(spec, msg, peer, auth)
            if queued and not answer.challenge:
                self.queues[who].pop(0)
                if not self.queues[who]:
                    self.fixed[who] = spec
            self.made[key] = answer
        record["answer"] = answer.status if answer.raw is None else "raw"
        self.seen.append(record)
        if self.log:
            self.log.write(json.dumps(record) + "\n")
            self.log.flush()
        if answer.delay:
            threading.Timer(answer.delay, self._send,
                            (msg, peer, answer, record)).start()
        else:
            self._send(msg, peer, answer, record)

    def _record(self, msg, peer, auth, repeat):
        contact = msg.get("contact")
        found = re.search(r"expires=(\d+)", contact)
        expires = found.group(1) if found else msg.get("expires")
        return {"mono": peer.at or time.monotonic(),
                "transport": peer.transport,
                "src": str(peer), "user": msg.user,
                "call_id": msg.get("call-id"), "cseq": msg.cseq,
                "contact": contact, "uri": msg.uri,
                "expires": int(expires) if expires.isdigit() else None,
                "branch": msg.branch, "retransmission": repeat, "auth": auth,
                "malformed": msg.fault, "behaviour": None, "answer": None,
                "answered": None}

    def answer(self, spec, msg, peer, auth):
        name, _, arg = spec.partition(":")
        if name.startswith("auth+"):
            if not (auth and auth["valid"]):
                return self.ask_password()
            name = name[5:]
        return BEHAVIOURS[name][0](self, Request(msg, peer, auth, arg, spec))

    def ask_password(self, **kw):
        return Answer(401, [("WWW-Authenticate", self.challenge(**kw))],
                      challenge=True)

    def _send(self, msg, peer, answer, record):
        if answer.action:
            if peer.close:
                peer.close(answer.action == "reset")
            return
        if not answer.status and answer.raw is None:
            return
        data = answer.raw if answer.raw is not None else self.build(
            msg, peer, answer)
        record["answered"] = time.monotonic()
        for _ in range(answer.copies):
            peer.send(data)
        if answer.after is not None:
            self._send(msg, peer, answer.after, record)

    def build(self, msg, peer, answer):
        via = msg.all("via")
        if via:
            via[0] = re.sub(r";rport(?![=\w])", f";rport={peer.addr[1]}",
                            via[0]) + f";received={peer.addr[0]}"
        to = msg.get("to")
        if ";tag=" not in to and answer.status > 100:
            to += ";tag=evil"
        lines = [f"SIP/2.0 {answer.status} "
                 f"{REASONS.get(answer.status, 'Whatever')}"]
        lines += [f"Via: {v}" for v in via]
        lines += [f"From: {msg.get('from')}", f"To: {to}",
                  f"Call-ID: {msg.get('call-id')}",
                  f"CSeq: {msg.get('cseq')}"]
        for c in ([answer.contact] if isinstance(answer.contact, str)
                  else answer.contact or []):
            lines.append(f"Contact: {c}")
        lines += [f"{n}: {v}" for n, v in answer.headers]
        return ("\r\n".join(lines) +
                "\r\nContent-Length: 0\r\n\r\n").encode()

    def bind(self, msg, peer, expires):
        """Keeps the binding that a REGISTER asks for; the list of them."""
        contact = msg.get("contact")
        list_ = self.bindings.setdefault(msg.user, {})
        found = re.search(r"<([^>]+)>", contact)
        if contact == "*":
            list_.clear()
        elif found:
            if expires:
                list_[found.group(1)] = (peer, expires)
            else:
                list_.pop(found.group(1), None)
        return [f"<{uri}>;expires={e}" for uri, (_, e) in list_.items()]

    # -- calls

    def invite(self, user, caller="200", sdp=True, headers=()):
        """INVITE to the first binding of user; a Call."""
        with self.lock:
            uri, (peer, _) = next(iter(self.bindings[user].items()))
            call = Call(self, uri, peer, user, caller, sdp, headers)
            self.calls[call.call_id] = call
        call.send("INVITE")
        return call

    def raw(self, user, data):
        with self.lock:
            _, (peer, _) = next(iter(self.bindings[user].items()))
        peer.send(data)

    def _response(self, msg, peer):
        call = self.calls.get(msg.get("call-id"))
        if call:
            call.response(msg, peer)


class Request:
    """One REGISTER as a behaviour sees it."""

    def __init__(self, msg, peer, auth, arg, spec):
        self.msg, self.peer, self.auth = msg, peer, auth
        self.arg, self.spec = arg, spec
        contact = msg.get("contact")
        found = re.search(r"expires=(\d+)", contact)
        text = found.group(1) if found else msg.get("expires", "3600")
        self.asked = int(text) if text.isdigit() else 3600
        found = re.search(r"<([^>]+)>", contact)
        self.uri = found.group(1) if found else ""


class Call:
    """A call from the registrar's side to a phone."""

    SDP = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n"
           "t=0 0\r\nm=audio 9 RTP/AVP 0 8\r\n")

    def __init__(self, reg, uri, peer, user, caller, sdp, headers):
        self.reg, self.uri, self.peer, self.user = reg, uri, peer, user
        self.caller, self.sdp, self.extra = caller, sdp, list(headers)
        self.call_id = os.urandom(8).hex()
        self.tag = os.urandom(4).hex()
        self.branch = "z9hG4bK" + os.urandom(8).hex()
        self.cseq, self.to_tag, self.target = 1, "", uri
        self.statuses, self.answer, self.ended = [], None, False

    def send(self, method, headers=(), body=None, same=False):
        if not same and method not in ("INVITE", "ACK"):
            self.cseq += 1
        branch = (self.branch if same or method == "INVITE"
                  else "z9hG4bK" + os.urandom(8).hex())
        uri = self.uri if same or method == "INVITE" else self.target
        port = self.reg.tls_port if self.peer.transport == "tls" \
            else self.reg.port
        host = f"{self.reg.host}:{port}"
        if method == "INVITE" and self.sdp:
            body = self.SDP
        body = body or ""
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.peer.transport.upper()} {host}"
            f";branch={branch}",
            "Max-Forwards: 70",
            f"From: \"Caller\" <sip:{self.caller}@{self.reg.host}>"
            f";tag={self.tag}",
            f"To: <sip:{self.user}@{self.reg.host}>" +
            (f";tag={self.to_tag}" if self.to_tag and not same else ""),
            f"Call-ID: {self.call_id}", f"CSeq: {self.cseq} {method}",
            f"Contact: <sip:{self.caller}@{host};transport="
            f"{self.peer.transport}>"]
        lines += [f"{n}: {v}" for n, v in
                  (self.extra if method == "INVITE" else headers)]
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body)}")
        self.peer.send(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def response(self, msg, _peer):
        """Called with the lock held."""
        method = msg.get("cseq").split()[-1]
        self.statuses.append((method, msg.status))
        if method != "INVITE" or msg.status < 200:
            return
        found = re.search(r";tag=([^;\s]+)", msg.get("to"))
        self.to_tag = found.group(1) if found else ""
        if msg.status >= 300:
            self.send_ack(msg, same=True)
            self.ended = True
            return
        found = re.search(r"<([^>]+)>", msg.get("contact"))
        self.target = found.group(1) if found else self.uri
        self.answer = msg
        self.send_ack(msg, same=False)

    def send_ack(self, msg, same):
        cseq, self.cseq = self.cseq, msg.cseq
        self.send("ACK", same=same,
                  body=None if self.sdp or same else self.SDP)
        self.cseq = cseq

    def wait(self, status, method="INVITE", timeout=5):
        end = time.monotonic() + timeout
        with self.reg.lock:
            while (method, status) not in self.statuses:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no {status}: {self.statuses}")
                self.reg.lock.wait(left)

    def wait_end(self, timeout=5):
        end = time.monotonic() + timeout
        with self.reg.lock:
            while not self.ended:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"not ended: {self.statuses}")
                self.reg.lock.wait(left)

    def cancel(self, *reasons):
        self.send("CANCEL", [("Reason", r) for r in reasons], same=True)

    def bye(self):
        self.send("BYE")


def check(spec):
    name = spec.partition(":")[0]
    if name.startswith("auth+"):
        name = name[5:]
    if name not in BEHAVIOURS:
        raise ValueError(f"no such behaviour: {spec}")


# ---- behaviours: what the honest one does

def good(reg, r, **kw):
    contacts = reg.bind(r.msg, r.peer, r.asked)
    kw.setdefault("contact", contacts)
    return Answer(200, **kw)


def login(reg, r, **kw):
    """None once the password was right; else the challenge."""
    if r.auth and r.auth["valid"]:
        return None
    return reg.ask_password(**kw)


@behaviour("ok", "asks for the password with MD5, then grants what was asked")
def _ok(reg, r):
    return login(reg, r) or good(reg, r)


@behaviour("noauth", "grants without a password")
def _noauth(reg, r):
    return good(reg, r)


@behaviour("sha256", "challenge with SHA-256")
def _sha256(reg, r):
    return login(reg, r, alg="SHA-256") or good(reg, r)


def two(reg, first, second):
    return Answer(401, [("WWW-Authenticate", reg.challenge(alg=first)),
                        ("WWW-Authenticate", reg.challenge(alg=second))],
                  challenge=True)


def accepts(r, *algs):
    return r.auth and r.auth["valid"] and r.auth["alg"].upper() in algs


@behaviour("sha256_md5", "two challenges, SHA-256 first (RFC 8760)")
def _sha256_md5(reg, r):
    if accepts(r, "SHA-256", "MD5"):
        return good(reg, r)
    return two(reg, "SHA-256", "MD5")


@behaviour("md5_sha256", "two challenges, MD5 first")
def _md5_sha256(reg, r):
    if accepts(r, "SHA-256", "MD5"):
        return good(reg, r)
    return two(reg, "MD5", "SHA-256")


@behaviour("unknown_md5", "an unknown algorithm first, then MD5")
def _unknown_md5(reg, r):
    if accepts(r, "MD5"):
        return good(reg, r)
    return two(reg, "SHA-512-256", "MD5")


@behaviour("unknown", "only an algorithm that nobody knows")
def _unknown(reg, r):
    return reg.ask_password(alg="WHIRLPOOL")


@behaviour("md5_sess", "MD5-sess")
def _md5_sess(reg, r):
    return login(reg, r, alg="MD5-sess") or good(reg, r)


@behaviour("noqop", "challenge without qop (RFC 2069)")
def _noqop(reg, r):
    return login(reg, r, qop=None) or good(reg, r)


@behaviour("noalg", "challenge without algorithm: MD5")
def _noalg(reg, r):
    return login(reg, r, alg=None) or good(reg, r)


@behaviour("qop_list", "qop=\"auth-int,auth\"")
def _qop_list(reg, r):
    return login(reg, r, qop='"auth-int,auth"') or good(reg, r)


@behaviour("auth_int", "only qop=\"auth-int\"")
def _auth_int(reg, r):
    return reg.ask_password(qop='"auth-int"')


@behaviour("proxy", "407 instead of 401")
def _proxy(reg, r):
    if r.auth and r.auth["valid"]:
        return good(reg, r)
    return Answer(407, [("Proxy-Authenticate", reg.challenge())],
                  challenge=True)


@behaviour("downgrade", "SHA-256 until the first success, then only MD5")
def _downgrade(reg, r):
    key = ("downgrade", r.msg.user)
    if reg.memory.get(key):
        return login(reg, r, alg="MD5") or good(reg, r)
    if accepts(r, "SHA-256"):
        reg.memory[key] = True
        reg.nonces.clear()
        return good(reg, r)
    return reg.ask_password(alg="SHA-256")


@behaviour("stale", "the first right answer is stale, the next is taken")
def _stale(reg, r):
    key = ("stale", r.msg.user)
    if r.auth and r.auth["valid"]:
        if reg.memory.get(key):
            return good(reg, r)
        reg.memory[key] = True
        return reg.ask_password(stale=True)
    return reg.ask_password()


@behaviour("stale_always", "every right answer is stale")
def _stale_always(reg, r):
    return reg.ask_password(stale=bool(r.auth))


@behaviour("one_nonce", "a nonce is good for one request, then stale")
def _one_nonce(reg, r):
    if r.auth and r.auth["valid"]:
        del reg.nonces[r.auth["nonce"]]
        return good(reg, r)
    return reg.ask_password(stale=bool(r.auth))


@behaviour("nextnonce", "Authentication-Info names the next nonce")
def _nextnonce(reg, r):
    refused = login(reg, r)
    if refused:
        return refused
    del reg.nonces[r.auth["nonce"]]
    reg.nonce_no += 1
    nonce = f"next{reg.nonce_no}"
    reg.nonces[nonce] = reg.realm
    return good(reg, r, headers=[("Authentication-Info",
                                  f'nextnonce="{nonce}"')])


@behaviour("endless401", "401 with a new nonce whatever comes")
def _endless401(reg, r):
    return reg.ask_password()


@behaviour("401_bare", "401 without a challenge")
def _401_bare(reg, r):
    return Answer(401)


@behaviour("wrong_realm", "challenge for attacker.example (or ARG)")
def _wrong_realm(reg, r):
    return reg.ask_password(realm=r.arg or "attacker.example")


@behaviour("realm_change", "after the first success the realm is another")
def _realm_change(reg, r):
    key = ("realm", r.msg.user)
    realm = "changed" if reg.memory.get(key) else reg.realm
    if r.auth and r.auth["valid"] and r.auth["realm"] == realm:
        reg.memory[key] = True
        reg.nonces.clear()
        return good(reg, r)
    return reg.ask_password(realm=realm)


@behaviour("realm_rotate", "another realm in each challenge")
def _realm_rotate(reg, r):
    return reg.ask_password(realm=f"realm{reg.nonce_no}")


@behaviour("realm_empty", "realm=\"\"")
def _realm_empty(reg, r):
    return login(reg, r, realm="") or good(reg, r)


@behaviour("realm_quotes", "a realm with escaped quotes and a comma")
def _realm_quotes(reg, r):
    return login(reg, r, realm='a \\"b\\", c') or good(reg, r)


@behaviour("nonce_huge", "a nonce of ARG bytes (4000)")
def _nonce_huge(reg, r):
    size = int(r.arg or 4000)
    return login(reg, r, nonce=os.urandom(size // 2).hex()) or good(reg, r)


@behaviour("challenge_junk", "a WWW-Authenticate that is none")
def _challenge_junk(reg, r):
    return Answer(401, [("WWW-Authenticate",
                         'Digest realm="x", nonce=, =, "' + "," * 200)],
                  challenge=True)


@behaviour("basic", "WWW-Authenticate: Basic")
def _basic(reg, r):
    return Answer(401, [("WWW-Authenticate", 'Basic realm="test"')])


@behaviour("status", "ARG is the answer, as in status:404")
def _status(reg, r):
    return Answer(int(r.arg or 404))


@behaviour("403", "403")
def _403(reg, r):
    return Answer(403)


@behaviour("404", "404")
def _404(reg, r):
    return Answer(404)


@behaviour("423", "423 with Min-Expires ARG (7200), until that is asked")
def _423(reg, r):
    least = int(r.arg or 7200)
    if r.asked >= least or not r.asked:
        return good(reg, r)
    return Answer(423, [("Min-Expires", str(least))])


@behaviour("423_always", "423 with Min-Expires ARG (7200) whatever is asked")
def _423_always(reg, r):
    return Answer(423, [("Min-Expires", r.arg or "7200")])


@behaviour("423_none", "423 without Min-Expires")
def _423_none(reg, r):
    return Answer(423)


@behaviour("423_lower", "423 with a Min-Expires below what was asked")
def _423_lower(reg, r):
    return Answer(423, [("Min-Expires", str(max(r.asked // 2, 1)))])


@behaviour("423_rising", "423 that wants one second more each time")
def _423_rising(reg, r):
    return Answer(423, [("Min-Expires", str(r.asked + 1))])


@behaviour("302", "302 to ARG (sip:127.0.0.9:5099)")
def _302(reg, r):
    return Answer(302, contact=f"<{r.arg or 'sip:127.0.0.9:5099'}>")


@behaviour("302_self", "302 back to this registrar")
def _302_self(reg, r):
    return Answer(302, contact=f"<sip:{reg.host}:{reg.port}>")


@behaviour("301", "301 to ARG (sip:127.0.0.9:5099)")
def _301(reg, r):
    return Answer(301, contact=f"<{r.arg or 'sip:127.0.0.9:5099'}>")


def failure(status):
    def f(_reg, r):
        return Answer(status, [("Retry-After", r.arg)] if r.arg else [])
    return f


for _code in (480, 486, 500, 503, 504, 600, 603):
    BEHAVIOURS[str(_code)] = (
        failure(_code), f"{_code}, with Retry-After ARG if given")


@behaviour("silence", "no answer at all")
def _silence(reg, r):
    return Answer()


@behaviour("100", "100 and then nothing")
def _100(reg, r):
    return Answer(100)


@behaviour("100_ok", "100, then as ok")
def _100_ok(reg, r):
    final = _ok(reg, r)
    return Answer(100, after=final, challenge=final.challenge)


@behaviour("late", "as ok, ARG milliseconds later (1000)")
def _late(reg, r):
    answer = _ok(reg, r)
    answer.delay = int(r.arg or 1000) / 1000
    return answer


@behaviour("twice", "as ok, each answer twice")
def _twice(reg, r):
    answer = _ok(reg, r)
    answer.copies = 2
    return answer


@behaviour("reset", "TCP reset (UDP: silence)")
def _reset(reg, r):
    return Answer(action="reset")


@behaviour("close", "TCP close (UDP: silence)")
def _close(reg, r):
    return Answer(action="close")


@behaviour("expires", "grants ARG in the Contact's parameter")
def _expires(reg, r):
    reg.bind(r.msg, r.peer, r.asked)
    return Answer(200, contact=f"<{r.uri}>;expires={r.arg or 0}")


@behaviour("expires_header", "grants ARG in the Expires header only")
def _expires_header(reg, r):
    reg.bind(r.msg, r.peer, r.asked)
    return Answer(200, [("Expires", r.arg or "0")], contact=f"<{r.uri}>")


@behaviour("expires_both", "ARG in the Contact, 3600 in the header")
def _expires_both(reg, r):
    reg.bind(r.msg, r.peer, r.asked)
    return Answer(200, [("Expires", "3600")],
                  contact=f"<{r.uri}>;expires={r.arg or 60}")


@behaviour("expires_none", "says nothing of how long")
def _expires_none(reg, r):
    reg.bind(r.msg, r.peer, r.asked)
    return Answer(200, contact=f"<{r.uri}>")


@behaviour("rewritten", "the Contact comes back with another address")
def _rewritten(reg, r):
    reg.bind(r.msg, r.peer, r.asked)
    uri = re.sub(r"@[^;>]+", "@203.0.113.7:31337", r.uri)
    return Answer(200, contact=f"<{uri}>;expires={r.arg or r.asked}")


@behaviour("contact_none", "200 without a Contact")
def _contact_none(reg, r):
    return Answer(200)


@behaviour("contact_others", "200 that lists only somebody else's Contact")
def _contact_others(reg, r):
    return Answer(200, contact="<sip:other@198.51.100.1:5060>;expires=60")


@behaviour("contact_many", "200 with ARG (200) Contacts, ours in the middle")
def _contact_many(reg, r):
    n = int(r.arg or 200)
    all_ = [f"<sip:x{i}@198.51.100.1:5060>;expires=30" for i in range(n)]
    all_[n // 2] = f"<{r.uri}>;expires={r.asked}"
    return Answer(200, contact=", ".join(all_))


@behaviour("contact_odd", "200 whose Contact has a name, spaces and q")
def _contact_odd(reg, r):
    reg.bind(r.msg, r.peer, r.asked)
    return Answer(200, contact=f'"a, \\"b\\" <c>" <{r.uri}> ;q=0.5 ; '
                               f'EXPIRES = {r.asked};+sip.instance="<x>"')


@behaviour("contact_junk", "200 whose Contact is none")
def _contact_junk(reg, r):
    return Answer(200, contact="<<<;;;expires=abc,,")


@behaviour("garbage", "bytes that are no SIP")
def _garbage(reg, r):
    return Answer(raw=bytes(range(256)) * 4 + b"\r\n\r\n")


@behaviour("truncated", "half of a 200")
def _truncated(reg, r):
    whole = reg.build(r.msg, r.peer, good(reg, r))
    return Answer(raw=whole[:len(whole) // 2])


def spoilt(reg, r, pattern, new):
    whole = reg.build(r.msg, r.peer, good(reg, r)).decode()
    return Answer(raw=re.sub(pattern, new, whole, count=1).encode())


@behaviour("wrong_cseq", "200 with another CSeq")
def _wrong_cseq(reg, r):
    return spoilt(reg, r, r"CSeq: \d+", "CSeq: 4711")


@behaviour("wrong_branch", "200 with another branch")
def _wrong_branch(reg, r):
    return spoilt(reg, r, r"branch=[^;\r]+", "branch=z9hG4bKevil")


@behaviour("wrong_callid", "200 with another Call-ID")
def _wrong_callid(reg, r):
    return spoilt(reg, r, r"Call-ID: [^\r]+", "Call-ID: evil")


@behaviour("huge", "200 with ARG (60000) bytes of one header")
def _huge(reg, r):
    return good(reg, r, headers=[("X-Long", "x" * int(r.arg or 60000))])


@behaviour("many_headers", "200 with ARG (1000) headers")
def _many_headers(reg, r):
    return good(reg, r, headers=[(f"X-{i}", "y")
                                 for i in range(int(r.arg or 1000))])


@behaviour("compact", "as ok, in compact and folded form")
def _compact(reg, r):
    refused = login(reg, r)
    if refused:
        return refused
    text = reg.build(r.msg, r.peer, good(reg, r)).decode()
    for long, short in (("Via", "v"), ("From", "f"), ("To", "t"),
                        ("Call-ID", "i"), ("Contact", "m"),
                        ("Content-Length", "l")):
        text = text.replace(f"\r\n{long}: ", f"\r\n{short} :\r\n ")
    return Answer(200, raw=text.encode())


@behaviour("unsupported", "420 with Unsupported")
def _unsupported(reg, r):
    return Answer(420, [("Unsupported", "path, outbound")])


# ---- as a program

def command(reg, line):
    words = line.split()
    name, args = words[0], words[1:]
    if name in ("behave", "then"):
        getattr(reg, name)(*args[:2])
        return {"ok": True}
    if name == "records":
        return {"ok": True, "records": reg.records(*args[:1])}
    if name == "count":
        return {"ok": True, "count": reg.count(*args[:1])}
    if name == "wait":
        got = reg.wait(int(args[0]), float(args[1]) if args[1:] else 5)
        return {"ok": True, "count": len(got)}
    if name == "clear":
        reg.clear()
        return {"ok": True}
    if name == "invite":
        return {"ok": True, "call_id": reg.invite(args[0]).call_id}
    if name == "raw":
        reg.raw(args[0], bytes.fromhex(args[1]))
        return {"ok": True}
    raise ValueError(f"no such command: {name}")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--listen", default="127.0.0.1:0")
    p.add_argument("--password", default="pw-%s")
    p.add_argument("--user", help="ignored: every user may register")
    p.add_argument("--realm", default="test")
    p.add_argument("--behaviour", default="ok")
    p.add_argument("--log")
    p.add_argument("--tls", help="CERT,KEY")
    p.add_argument("--list", action="store_true")
    a = p.parse_args()
    if a.list:
        for name, (_, text) in BEHAVIOURS.items():
            print(f"{name:16} {text}")
        return 0
    check(a.behaviour)
    reg = Registrar(a.listen, a.password, a.realm, a.behaviour, a.log,
                    a.tls.split(",") if a.tls else None).start()
    ready = {"ready": True, "udp": reg.udp, "tcp": reg.tcp}
    if a.tls:
        ready["tls"] = reg.tls_port
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        if line.split() == ["quit"]:
            break
        if not line.strip():
            continue
        try:
            answer = command(reg, line)
        except (ValueError, IndexError, KeyError, StopIteration,
                TimeoutError) as e:
            answer = {"ok": False, "error": str(e) or type(e).__name__}
        print(json.dumps(answer), flush=True)
    reg.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
