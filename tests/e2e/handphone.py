"""A phone by hand, at the edge: it says what a test wants it to say, over UDP,
TCP or TLS, and keeps every message with its bytes."""

import hashlib
import itertools
import re
import select
import socket
import ssl
import time

COUNTER = itertools.count(1)
SDP = ("v=0\r\no=phone 7 7 IN IP4 127.0.0.1\r\ns=-\r\n"
       "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40100 RTP/AVP 8\r\n"
       "a=rtpmap:8 PCMA/8000\r\n")


class Message:
    """One SIP message, taken apart no more than needed."""

    def __init__(self, data):
        self.data = data
        head, self.body = data.split(b"\r\n\r\n", 1)
        self.head = head.decode(errors="replace")
        self.first = self.head.split("\r\n", 1)[0]
        words = self.first.split(" ", 2)
        self.status = int(words[1]) if words[0] == "SIP/2.0" else 0
        self.method = self.cseq.split()[1] if self.status else words[0]
        self.uri = None if self.status else words[1]

    def all(self, name):
        return re.findall(rf"(?im)^{re.escape(name)}:\s*(.*?)\r?$", self.head)

    def get(self, name, default=""):
        found = self.all(name)
        return found[0] if found else default

    @property
    def cseq(self):
        return re.search(r"(?im)^CSeq:\s*(.*?)\r?$", self.head).group(1)

    def __repr__(self):
        return self.first


def split(data):
    """The first whole message of a stream, and the rest."""
    while data.startswith(b"\r\n"):
        data = data[2:]
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None, data
    found = re.search(rb"(?i)\r\n(?:Content-Length|l):\s*(\d+)", data[:end + 2])
    size = end + 4 + (int(found.group(1)) if found else 0)
    if len(data) < size:
        return None, data
    return Message(data[:size]), data[size:]


def key_of(request):
    return request.get("Call-ID"), tag_of(request.get("From")), request.cseq


def tag_of(value):
    found = re.search(r";tag=([^;>\s]+)", value)
    return found.group(1) if found else None


def branch_of(message):
    return re.search(r";branch=([^;,\s]+)", message.get("Via")).group(1)


class HandPhone:
    """name is also its +sip.instance (a UUID of it).  A request that has come
    already under another branch gets 482 (second), and is only counted."""

    def __init__(self, edge, user="100", transport="tls", ca=None,
                 domain="demo.test", name="hand", password=None,
                 address=None, port=0):
        self.port = port
        address = address or ("::1" if ":" in edge[0] else "127.0.0.1")
        self.edge, self.user, self.domain = edge, user, domain
        self.transport, self.password = transport, password or f"pw-{user}"
        self.urn = "urn:uuid:" + uuid_of(name)
        self.ca, self.address = ca, address
        self.inbox, self.rest, self.sock = [], b"", None
        self.call_id, self.cseq = f"reg-{name}-{next(COUNTER)}", 0
        self.purr = ""  # for the Contact of its dialogs
        self.open, self.merged = {}, []
        self.second = 482, "Loop Detected"
        self.reg_id = 1
        self.connect()

    def connect(self):
        if self.transport == "udp":
            self.sock = socket.socket(
                socket.AF_INET6 if ":" in self.address else socket.AF_INET,
                socket.SOCK_DGRAM)
            self.sock.bind((self.address, self.port))
            self.sock.connect(self.edge)
        else:
            self.sock = socket.create_connection(
                self.edge, 5, source_address=(self.address, 0))
        if self.transport == "tls":
            context = ssl.create_default_context(cafile=self.ca)
            self.sock = context.wrap_socket(self.sock,
                                            server_hostname="localhost")
        host, port = self.sock.getsockname()[:2]
        self.via = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.rest = b""
        return self

    def close(self):
        self.sock.close()

    # --- bytes ---

    def send(self, text):
        self.sock.sendall(text if isinstance(text, bytes) else text.encode())

    def pump(self, seconds):
        """Reads what is there; False if nothing came in time."""
        pending = getattr(self.sock, "pending", lambda: 0)()
        if not pending and not select.select([self.sock], [], [], seconds)[0]:
            return False
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data and self.transport != "udp":
            return False
        self.rest += data
        while True:
            message, self.rest = split(self.rest)
            if message is None:
                return True
            if not self.merges(message):
                self.inbox.append(message)

    def merges(self, message):
        """RFC 3261 8.2.2.2."""
        if message.status or tag_of(message.get("To")):
            return message.method == "ACK" and \
                branch_of(message) in self.merged
        branch = branch_of(message)
        if message.method == "CANCEL" or \
                self.open.setdefault(key_of(message), branch) == branch:
            return False
        self.merged.append(branch)
        self.reply(message, *self.second, tag="merged", contact=False)
        return True

    def wait_merged(self, seconds=5):
        """Until it had to say 482."""
        deadline = time.monotonic() + seconds
        while not self.merged:
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"nothing came twice in {seconds} s")
            self.pump(min(left, 0.1))

    def fresh(self):
        """The app is started anew, and knows of nothing."""
        self.open.clear()
        self.close()
        return self.connect()

    def wait(self, cond, seconds=10, what="message"):
        """The first message that fits, taken out of the inbox."""
        deadline = time.monotonic() + seconds
        while True:
            for message in self.inbox:
                if cond(message):
                    self.inbox.remove(message)
                    return message
            left = deadline - time.monotonic()
            if left <= 0 or not self.pump(left):
                if deadline - time.monotonic() > 0.05:
                    raise AssertionError(
                        f"no {what}: the connection ended; {self.inbox}")
                raise AssertionError(f"no {what} in {seconds} s: {self.inbox}")

    def wait_request(self, method, seconds=10):
        return self.wait(lambda m: not m.status and m.method == method,
                         seconds, method)

    def wait_final(self, method, seconds=10):
        return self.wait(lambda m: m.status >= 200 and m.method == method,
                         seconds, f"answer to {method}")

    def settle(self):
        """A round trip over its flow: what sipis had to say because of what it
        has read before is here.  Twice: the first may be answered before the
        timers that are due."""
        host = f"[{self.edge[0]}]" if ":" in self.edge[0] else self.edge[0]
        uri = f"sip:{host}:{self.edge[1]}"
        for _ in range(2):
            call_id = f"settle-{next(COUNTER)}-{time.time_ns()}"
            self.request("OPTIONS", uri, f"<{uri}>", call_id, 1, "settle")
            self.wait(lambda m, own=call_id: m.status >= 200
                      and m.get("Call-ID") == own, what="round trip")

    def heard(self):
        """The inbox, with all that is there by now."""
        while self.pump(0):
            pass
        return self.inbox

    def quiet(self, cond):
        """Nothing like that has come, nor is on its way."""
        self.settle()
        return not [m for m in self.inbox if cond(m)]

    def nothing(self, cond, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.pump(deadline - time.monotonic())
        return not [m for m in self.inbox if cond(m)]

    # --- requests ---

    @property
    def aor(self):
        return f"sip:{self.user}@{self.domain}"

    @property
    def where(self):
        return f"sip:{self.user}@{self.via};transport={self.transport}"

    @property
    def contact(self):
        return self.where + (f";pn-purr={self.purr}" if self.purr else "")

    def request(self, method, uri, to, call_id, cseq, tag, extra="", body="",
                branch=None, source=None, kind="application/sdp"):
        branch = branch or f"z9hG4bKhand{next(COUNTER)}"
        kind = f"Content-Type: {kind}\r\n" if body else ""
        self.send(f"{method} {uri} SIP/2.0\r\n"
                  f"Via: SIP/2.0/{self.transport.upper()} {self.via};"
                  f"branch={branch};rport\r\n"
                  "Max-Forwards: 70\r\n"
                  f"From: <{source or self.aor}>;tag={tag}\r\n"
                  f"To: {to}\r\n"
                  f"Call-ID: {call_id}\r\n"
                  f"CSeq: {cseq} {method}\r\n"
                  f"{extra}{kind}"
                  f"Content-Length: {len(body)}\r\n\r\n{body}")
        return branch

    def register_once(self, expires=600, extra="", params="", to=None,
                      tags=""):
        self.cseq += 1
        self.request(
            "REGISTER", f"sip:{self.domain}", f"<{to or self.aor}>",
            self.call_id, self.cseq, "reg",
            f"Contact: <{self.where}{params}>;expires={expires};"
            f"reg-id={self.reg_id};"
            f'+sip.instance="<{self.urn}>"{tags}\r\n'
            f"Supported: outbound, path\r\n{extra}")
        return self.wait_final("REGISTER")

    def register(self, expires=600, params="", extra="", to=None, tags=""):
        """The last answer."""
        answer = self.register_once(expires, extra, params, to, tags)
        for turn in range(3):
            stale = "stale=true" in answer.get("WWW-Authenticate")
            if answer.status != 401 or (turn and not stale):
                break
            answer = self.register_once(
                expires, extra + self.authorization(
                    answer, "REGISTER", f"sip:{self.domain}"), params, to, tags)
        return answer

    def authorization(self, challenge, method, uri, user=None):
        """Of a 401 or 407."""
        proxy = challenge.status == 407
        line = challenge.get("Proxy-Authenticate" if proxy
                             else "WWW-Authenticate")
        value = dict(re.findall(r'(\w+)="?([^",]+)"?', line))
        hashed = hashlib.sha256 if value.get("algorithm") == "SHA-256" \
            else hashlib.md5

        def h(text):
            return hashed(text.encode()).hexdigest()

        user = user or self.user
        ha1 = h(f"{user}:{value['realm']}:{self.password}")
        ha2 = h(f"{method}:{uri}")
        if "qop" in value:
            answer = h(f"{ha1}:{value['nonce']}:00000001:cn:auth:{ha2}")
            more = ', qop=auth, nc=00000001, cnonce="cn"'
        else:
            answer, more = h(f"{ha1}:{value['nonce']}:{ha2}"), ""
        return (f"{'Proxy-' if proxy else ''}Authorization: Digest "
                f'username="{user}", realm="{value["realm"]}", '
                f'nonce="{value["nonce"]}", uri="{uri}", '
                f'response="{answer}", '
                f'algorithm={value.get("algorithm", "MD5")}{more}\r\n')

    # --- answers ---

    def reply(self, request, status, reason="OK", tag="hand", body="",
              extra="", contact=True):
        vias = "".join(f"Via: {v}\r\n" for v in request.all("Via"))
        routes = "".join(f"Record-Route: {r}\r\n"
                         for r in request.all("Record-Route"))
        to = request.get("To")
        if status >= 200 and tag != "merged":
            self.open.pop(key_of(request), None)
        if status > 100 and not tag_of(to):
            to += f";tag={tag}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        mine = f"Contact: <{self.contact}>\r\n" if contact else ""
        self.send(f"SIP/2.0 {status} {reason}\r\n{vias}{routes}"
                  f"From: {request.get('From')}\r\nTo: {to}\r\n"
                  f"Call-ID: {request.get('Call-ID')}\r\n"
                  f"CSeq: {request.cseq}\r\n{mine}{extra}{kind}"
                  f"Content-Length: {len(body)}\r\n\r\n{body}")

    def in_dialog(self, invite, method, cseq, tag="hand", body="", extra=""):
        """By the one who was called: towards the caller."""
        routes = "".join(f"Route: {r}\r\n"
                         for r in invite.all("Record-Route"))
        target = re.search(r"<([^>]+)>", invite.get("Contact")).group(1)
        mine = re.sub(r"^.*?<", "<", invite.get("To")).split(">")[0] + ">"
        self.request(method, target, invite.get("From"),
                     invite.get("Call-ID"), cseq, tag,
                     routes + f"Contact: <{self.contact}>\r\n" + extra, body,
                     source=mine.strip("<>"))


class Call:
    """A call that the phone makes, with its route set."""

    def __init__(self, phone, user, route=None, body=SDP, domain="demo.test",
                 extra=""):
        self.phone, self.body, self.extra = phone, body, extra
        self.uri = f"sip:{user}@{domain}"
        self.call_id = f"call-{next(COUNTER)}-{time.time_ns()}"
        self.to, self.cseq, self.remote = f"<{self.uri}>", 0, self.uri
        self.routes = [route] if route else []
        self.branch = self.answer = self.asked = None

    def send(self, method, cseq=None, extra="", body="", branch=None):
        if cseq is None:
            self.cseq += 1
        routes = "".join(f"Route: {r}\r\n" for r in self.routes)
        return self.phone.request(
            method, self.remote, self.to, self.call_id, cseq or self.cseq,
            "caller", f"{routes}Contact: <{self.phone.contact}>\r\n{extra}",
            body, branch)

    def invite(self, extra=""):
        self.branch = self.send("INVITE", extra=self.extra + extra,
                                body=self.body)

    def begin(self, seconds=10):
        """INVITE, and once more for the PBX's challenge."""
        self.invite()
        answer = self.phone.wait(
            lambda m: m.status > 100 and m.method == "INVITE", seconds,
            "answer to INVITE")
        if answer.status not in (401, 407):
            self.phone.inbox.insert(0, answer)
            return answer
        self.ack(answer)
        self.invite(self.phone.authorization(answer, "INVITE", self.uri))
        return answer

    def ack(self, answer):
        """Of a refusal: with the branch of its INVITE."""
        keep, self.to = self.to, answer.get("To")
        self.send("ACK", cseq=self.cseq, branch=self.branch)
        self.to = keep

    def final(self, seconds=10):
        answer = self.phone.wait_final("INVITE", seconds)
        if answer.status >= 300:
            self.ack(answer)
            return answer
        self.follow(answer)
        self.send("ACK", cseq=self.cseq)
        self.answer = answer
        return answer

    def follow(self, answer):
        """The dialog that this answer makes."""
        self.to = answer.get("To")
        self.remote = re.search(r"<([^>]+)>", answer.get("Contact")).group(1)
        self.routes = list(reversed(routes_of(answer)))

    def taken_by(self, other, body=SDP, extra=""):
        """INVITE as it came, and answer; asked is what the PBX said first."""
        self.asked = self.begin()
        invite = other.wait_request("INVITE")
        other.reply(invite, 200, body=body, extra=extra)
        answer = self.final()
        if answer.status != 200:
            raise AssertionError(f"no answer but {answer}")
        other.wait_request("ACK")
        return invite, answer

    def hang_up(self, other):
        self.send("BYE")
        other.reply(other.wait_request("BYE"), 200)
        answer = self.phone.wait_final("BYE")
        if answer.status != 200:
            raise AssertionError(f"BYE: {answer}")

    def bye(self, seconds=10):
        self.send("BYE")
        return self.phone.wait_final("BYE", seconds)


def routes_of(message):
    """Record-Routes, one by one."""
    return [r.strip() for line in message.all("Record-Route")
            for r in line.split(",")]


def uuid_of(name):
    digest = hashlib.sha256(name.encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], "4" + digest[13:16],
                     "8" + digest[17:20], digest[20:32]))
