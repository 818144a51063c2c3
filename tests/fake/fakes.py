"""Starting and steering the fakes from Python tests; standard library only.

    with fakes.Pns(build + "/tests/fake/fake-pns", dir) as pns:
        pns.op("script", match={"kind": "apns"}, do={"status": 503})
        pns.wait("apns_ok", 3)
"""

import base64
import hashlib
import hmac
import json
import os
import select
import socket
import subprocess
import time


class FakeError(Exception):
    pass


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*args, stdin=None):
    return subprocess.run(("openssl",) + args, input=stdin, check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


def ec_key(path):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-out", path)


def certificate(cert, key, names=("localhost",), issuer=None, usage="serverAuth"):
    """A certificate; issuer None: self-signed authority, else (cert, key)."""
    ec_key(key)
    if issuer is None:
        openssl("req", "-x509", "-new", "-key", key, "-days", "30", "-out",
                cert, "-subj", "/CN=test authority", "-addext",
                "basicConstraints=critical,CA:TRUE")
        return
    san = ",".join(("IP:" if n[0].isdigit() else "DNS:") + n for n in names)
    ext = cert + ".ext"
    with open(ext, "w", encoding="ascii") as f:
        f.write(f"basicConstraints=critical,CA:FALSE\n"
                f"extendedKeyUsage={usage}\nsubjectAltName={san}\n")
    csr = openssl("req", "-new", "-key", key, "-subj", "/CN=" + names[0])
    openssl("x509", "-req", "-days", "30", "-CA", issuer[0], "-CAkey",
            issuer[1], "-CAcreateserial", "-extfile", ext, "-out", cert,
            stdin=csr)
    os.unlink(ext)


def service_account(path, project="demo-project"):
    key = path + ".key"
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt",
            "rsa_keygen_bits:2048", "-out", key)
    with open(key, encoding="ascii") as f:
        pem = f.read()
    account = {
        "type": "service_account", "project_id": project,
        "private_key_id": "0123456789abcdef", "private_key": pem,
        "client_email": f"push@{project}.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    with open(path, "w", encoding="ascii") as f:
        json.dump(account, f)
    return account


def _der_to_raw(der):
    """ECDSA-Sig-Value to r||s, 32 bytes each."""
    def integer(pos):
        n = der[pos + 1]
        value = der[pos + 2:pos + 2 + n].lstrip(b"\0")
        return value.rjust(32, b"\0"), pos + 2 + n
    r, pos = integer(2)
    s, _ = integer(pos)
    return r + s


def jwt(key, head, claims):
    """Signed with the key file; ES256 or RS256 as head says."""
    text = b64url(json.dumps(head).encode()) + "." + b64url(
        json.dumps(claims).encode())
    sig = openssl("dgst", "-sha256", "-sign", key, stdin=text.encode())
    if head.get("alg") == "ES256":
        sig = _der_to_raw(sig)
    return text + "." + b64url(sig)


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public_point(key):
    """The public half of a key file: the last 65 bytes of its DER."""
    return openssl("pkey", "-in", key, "-pubout", "-outform", "DER")[-65:]


def vapid(key, origin, head=None, scheme="vapid", **claims):
    """RFC 8292's Authorization, signed with the key file."""
    token = jwt(key, {"typ": "JWT", "alg": "ES256", **(head or {})},
                {"aud": origin, "exp": int(time.time()) + 3600,
                 "sub": "mailto:push@example.com", **claims})
    return f"{scheme} t={token}, k={b64url(public_point(key))}"


def _aes(mode, key, data, iv=None):
    return openssl("enc", f"-aes-128-{mode}", "-nopad", "-K", key.hex(),
                   *(("-iv", iv.hex()) if iv else ()), stdin=data)


def aes_gcm(key, nonce, text):
    """SP 800-38D, without associated data; openssl enc has no GCM."""
    h = int.from_bytes(_aes("ecb", key, bytes(16)), "big")
    out = _aes("ctr", key, text, nonce + b"\0\0\0\2")
    tag = 0
    for at in range(0, len(out), 16):
        tag = _ghash(tag ^ int.from_bytes(out[at:at + 16].ljust(16, b"\0"),
                                          "big"), h)
    tag = _ghash(tag ^ 8 * len(out), h)
    return out + _aes("ctr", key, tag.to_bytes(16, "big"),
                      nonce + b"\0\0\0\1")


def _ghash(x, h):
    z = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            z ^= h
        h = h >> 1 ^ (0xe1 << 120 if h & 1 else 0)
    return z


def web_push(text, p256dh, auth, key, salt=None, pad=b"\2", record=4096):
    """RFC 8291: what only the subscription opens; key: the sender's file."""
    spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107"
                         "034200")
    peer = key + ".peer"
    with open(peer, "wb") as f:
        f.write(spki + unb64url(p256dh))
    secret = openssl("pkeyutl", "-derive", "-inkey", key, "-peerkey", peer,
                     "-peerform", "DER")
    own = public_point(key)
    salt = salt or os.urandom(16)

    def mac(k, data):
        return hmac.new(k, data, hashlib.sha256).digest()

    ikm = mac(mac(unb64url(auth), secret),
              b"WebPush: info\0" + unb64url(p256dh) + own + b"\1")
    prk = mac(salt, ikm)
    cek = mac(prk, b"Content-Encoding: aes128gcm\0\1")[:16]
    nonce = mac(prk, b"Content-Encoding: nonce\0\1")[:12]
    return (salt + record.to_bytes(4, "big") + bytes([len(own)]) + own
            + aes_gcm(cek, nonce, text + pad))


class Program:
    """A program that prints a JSON line when it is ready."""

    def __init__(self, *argv, timeout=10, **popen):
        # with --stdin-life it ends when we do, however that happens
        self.proc = subprocess.Popen([str(a) for a in argv],
                                     stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, **popen)
        try:
            self.ready = json.loads(self._line(timeout))
        except (FakeError, ValueError) as e:
            self.stop()
            raise FakeError(f"{argv[0]}: not ready: {e}") from e

    def _line(self, timeout):
        end = time.monotonic() + timeout
        line = b""
        fd = self.proc.stdout.fileno()
        while not line.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise FakeError("timeout")
            c = os.read(fd, 1)
            if not c:
                raise FakeError(f"ended with {self.proc.wait()}")
            line += c
        return line

    def stop(self, timeout=10):
        """Ends it; the exit code."""
        if self.proc.poll() is None:
            self.proc.terminate()
        try:
            code = self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            code = self.proc.wait()
        self.proc.stdout.close()
        self.proc.stdin.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()


class Control:
    """One control connection of fake-pns."""

    def __init__(self, port, host="127.0.0.1"):
        self.sock = socket.create_connection((host, port), 10)
        self.buf = b""
        self.events = []

    def line(self, timeout):
        end = time.monotonic() + timeout
        while b"\n" not in self.buf:
            left = end - time.monotonic()
            if left <= 0:
                raise FakeError("no answer on the control port")
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(65536)
            except TimeoutError as e:
                raise FakeError("no answer on the control port") from e
            if not data:
                raise FakeError("control port closed")
            self.buf += data
        line, self.buf = self.buf.split(b"\n", 1)
        return json.loads(line)

    def op(self, name, /, timeout=15, check=True, **members):
        self.sock.sendall(json.dumps({"op": name, **members}).encode() + b"\n")
        while True:
            answer = self.line(timeout)
            if "event" not in answer:
                break
            self.events.append(answer)
        if check and not answer["ok"]:
            raise FakeError(f"{name}: {answer}")
        return answer

    def event(self, timeout=5):
        """The next event of a device."""
        if self.events:
            return self.events.pop(0)
        while True:
            answer = self.line(timeout)
            if "event" in answer:
                return answer

    def wait(self, counter, least=1, timeout=5):
        return self.op("wait", timeout + 5, counter=counter, min=least,
                       timeout_ms=int(timeout * 1000))["value"]

    def counters(self):
        return self.op("counters")["counters"]

    def close(self):
        self.sock.close()


class Pns(Program):
    """fake-pns with keys of its own in dir, unless options name others."""

    KID, TEAM, TOPIC = "ABC123DEFG", "DEF123GHIJ", "com.example.phone"

    def __init__(self, program, directory, *options, listen=None, **popen):
        self.dir = str(directory)
        self.make_keys()
        self.log = self.path("pns.jsonl")
        argv = [program]
        for role in listen or ("any", "apns", "sandbox", "fcm"):
            argv += ["--listen", f"{role}=127.0.0.1:0"]
        argv += ["--stdin-life", "--cert", self.path("provider.pem"),
                 "--key", self.path("provider.key"),
                 "--control", "127.0.0.1:0", "--log", self.log,
                 "--apns-key", self.path("apns.p8"),
                 "--apns-key-id", self.KID, "--apns-team", self.TEAM,
                 "--apns-topic", self.TOPIC,
                 "--fcm-service-account", self.path("fcm.json"), *options]
        super().__init__(*argv, **popen)
        self.ports = self.ready["ports"]
        self.ctl = Control(self.ready["control"])
        self.op = self.ctl.op
        self.wait = self.ctl.wait
        self.counters = self.ctl.counters

    def path(self, name):
        return os.path.join(self.dir, name)

    def make_keys(self):
        if os.path.exists(self.path("fcm.json")):
            return
        certificate(self.path("provider-ca.pem"), self.path("provider-ca.key"))
        certificate(self.path("provider.pem"), self.path("provider.key"),
                    ("localhost", "127.0.0.1", "api.push.apple.com",
                     "api.sandbox.push.apple.com", "fcm.googleapis.com",
                     "oauth2.googleapis.com"),
                    (self.path("provider-ca.pem"),
                     self.path("provider-ca.key")))
        ec_key(self.path("apns.p8"))
        service_account(self.path("fcm.json"))

    def apns_jwt(self, iat=None, key="apns.p8", head=None, **claims):
        return jwt(self.path(key),
                   {"alg": "ES256", "kid": self.KID, **(head or {})},
                   {"iss": self.TEAM, "iat": int(time.time())
                    if iat is None else iat, **claims})

    def fcm_assertion(self, key="fcm.json.key", head=None, **claims):
        now = int(time.time())
        with open(self.path("fcm.json"), encoding="ascii") as f:
            account = json.load(f)
        base = {"iss": account["client_email"], "iat": now, "exp": now + 3600,
                "scope": "https://www.googleapis.com/auth/firebase.messaging",
                "aud": account["token_uri"], **claims}
        return jwt(self.path(key),
                   {"alg": "RS256", "typ": "JWT",
                    "kid": account["private_key_id"], **(head or {})},
                   {k: v for k, v in base.items() if v is not None})

    def records(self):
        with open(self.log, encoding="ascii") as f:
            return [json.loads(line) for line in f]

    def stop(self, timeout=10):
        if hasattr(self, "ctl"):
            self.ctl.close()
        return super().stop(timeout)
