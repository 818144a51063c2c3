"""A mediator between a client that speaks the wire and the fake of APNs, FCM and
Web Push, each on ports of its own."""

import copy
import ctypes
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
sys.path[:0] = [os.path.join(TOP, "tests/fake"), os.path.join(TOP, "tests/e2e")]

import fakes  # noqa: E402
import wire  # noqa: E402

TEAM, KEY_ID, TOPIC, APP = "TEAMDEMO01", "KEYDEMO001", "com.example.demo", "demo"
VOIP, ALERT, DROID = "ab" * 32, "cd" * 32, "fcm-token_" + "x" * 40

DELIVERED, TOKEN_GONE, RETRY_LATER, THROTTLED, REJECTED, MISCONFIGURED, \
    EXPIRED, NOT_ALLOWED, DUPLICATE = range(1, 10)
CALL, MESSAGE, VOICEMAIL, ENDED, WAKE, TEST = range(1, 7)
TOKEN_GONE_FRAME, DRAIN = 6, 9


CLONE_NEWNET = 0x40000000


def own_network():
    """A network namespace for this process and its children, where we may."""
    ip = shutil.which("ip", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not ip or ctypes.CDLL(None).unshare(CLONE_NEWNET):
        return False
    subprocess.run([ip, "link", "set", "lo", "up"], check=True)
    return True


def free_ports():
    """One after the other.  With a network of our own they are below those
    that the kernel gives away, which somebody may have by the time that the
    mediator takes it."""
    if own_network():
        yield from itertools.count(20000)
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            yield s.getsockname()[1]


PORTS = free_ports()


def until(what, text, seconds=10):
    """Waits for a condition; there is no other way to wait here."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {text}")
        time.sleep(0.01)


class Client(wire.Wire):
    """A sipis of tenant demo, or of another."""

    def __init__(self, lab, name="tenant-demo", greet=True, source=None):
        super().__init__(lab.dir, name, lab.port, source=source)
        if greet:
            self.send(wire.hello())
            self.hello = self.until(wire.HELLO)

    def enrol(self, token, provider="apns", topic="", uses=(), env="",
              app=APP, keys=None):
        self.send(wire.frame(wire.ENROL, [
            (1, os.urandom(16)), (2, app), (3, provider), (4, token),
            (5, topic), (6, env), (7, "t-enrol")]
            + [(8, use) for use in uses]
            + ([(9, keys["p256dh"]), (10, keys["auth"])] if keys else [])))
        return self.until(wire.ENROLLED)

    def handle(self, *args, **kw):
        answer = self.enrol(*args, **kw)
        assert answer.get(2) == DELIVERED, answer
        return answer[4]

    def push(self, handle, use=CALL, seconds=15, ident=None, send_by=None,
             **more):
        """Sends one; its id."""
        ident = ident or os.urandom(16)
        now = int(time.time() * 1000)
        texts = {"trace": 4, "call": 5, "instance": 6, "from_": 7,
                 "display_name": 8, "video": 9, "reason": 12}
        fields = {"trace": "t-1", "from_": "sip:100@demo.test", **more}
        self.send(wire.frame(wire.PUSH, [
            (1, ident), (2, handle), (3, use), (10, now),
            (11, int(now + seconds * 1000))]
            + ([(13, int(now + send_by * 1000))] if send_by else [])
            + [(texts[k], v) for k, v in fields.items()]))
        return ident

    def result(self, ident=None):
        while True:
            answer = self.until(wire.RESULT)
            if ident is None or answer[1] == ident:
                return answer

    def ask(self, *args, **kw):
        return self.result(self.push(*args, **kw))


class Lab:
    def __init__(self, build, over=None, fake_options=(), start=True):
        self.build = build
        self.tmp = tempfile.TemporaryDirectory(prefix="mediator-test-")
        self.dir = self.tmp.name
        subprocess.run([os.path.join(TOP, "scripts/certs"), self.dir],
                       check=True, stdout=subprocess.DEVNULL)
        self.fake_port, self.port = next(PORTS), next(PORTS)
        self.admin_port = next(PORTS)
        self.url = f"https://localhost:{self.fake_port}"
        self.account()
        self.fake = self.ctl = self.proc = None
        self.log_path = os.path.join(self.dir, "mediator.log")
        self.config_path = os.path.join(self.dir, "mediator.yaml")
        self.config = self.configuration()
        for path, value in (over or {}).items():
            self.set(path, copy.deepcopy(value))
        self.fake_options = list(fake_options)
        if start:
            self.start_fake()
            self.start()

    def path(self, name):
        return os.path.join(self.dir, name)

    def account(self):
        with open(self.path("fcm.json"), encoding="utf-8") as f:
            account = json.load(f)
        account["token_uri"] = f"{self.url}/token"
        os.chmod(self.path("fcm.json"), 0o600)
        with open(self.path("fcm.json"), "w", encoding="utf-8") as f:
            json.dump(account, f)

    def configuration(self):
        link = {"ca": self.path("provider-ca.pem")}
        return {
            "node": "test", "log_level": "debug",
            "state_dir": self.path("state"),
            "handle_key_file": self.path("handle.key"),
            "server": {"listen": [f"127.0.0.1:{self.port}"],
                       "certificate": self.path("mediator.pem"),
                       "key": self.path("mediator.key"),
                       "client_ca": self.path("mediator-ca.pem")},
            "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
            "tenants": [{"name": "demo", "apps": [APP]}],
            "apps": [{"name": APP,
                      "apns": {"credential": "apple", "topic": TOPIC},
                      "fcm": {"credential": "google"},
                      "webpush": {"credential": "browsers"}}],
            "credentials": [
                {"name": "apple",
                 "apns": {"team_id": TEAM, "key_id": KEY_ID,
                          "key_file": self.path("apns.p8"),
                          "production_url": self.url,
                          "sandbox_url": self.url, "link": dict(link)}},
                {"name": "google",
                 "fcm": {"service_account_file": self.path("fcm.json"),
                         "url": self.url, "link": dict(link)}},
                {"name": "browsers",
                 "webpush": {"key_file": self.path("vapid.pem"),
                             "subject": "mailto:push@example.com",
                             "endpoints": [f"localhost:{self.fake_port}",
                                           "*.push.example"],
                             "private_addresses": True,
                             "link": dict(link)}}],
        }

    def set(self, path, value):
        """set("credentials.0.apns.key_id", "X")"""
        node = self.config
        *way, last = path.split(".")
        for step in way:
            node = node[int(step)] if isinstance(node, list) else \
                node.setdefault(step, {})
        node[int(last) if isinstance(node, list) else last] = value

    def write(self):
        """JSON is YAML, but for the example's sake one key per line."""
        with open(self.config_path, "w", encoding="utf-8") as f:
            json.dump(self.config, f, indent=1)

    def start_fake(self):
        self.fake = fakes.Program(
            os.path.join(self.build, "tests/fake/fake-pns"),
            "--listen", f"any=127.0.0.1:{self.fake_port}",
            "--cert", self.path("provider.pem"),
            "--key", self.path("provider.key"),
            "--control", "127.0.0.1:0", "--log", self.path("pns.jsonl"),
            "--apns-key", self.path("apns.p8"), "--apns-key-id", KEY_ID,
            "--apns-team", TEAM, "--apns-topic", TOPIC,
            "--fcm-service-account", self.path("fcm.json"),
            "--accept-any-token", "--no-voip-watch", *self.fake_options)
        self.ctl = fakes.Control(self.fake.ready["control"])
        self.op = self.ctl.op

    def stop_fake(self):
        if self.fake:
            self.ctl.close()
            self.fake.stop()
        self.fake = None

    def argv(self, *more):
        return [os.path.join(self.build, "mediator/mediator"), "-c",
                self.config_path, *more]

    def start(self):
        self.write()
        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(self.argv(), stdout=log, stderr=log)
        until(lambda: self.proc.poll() is not None or self.healthy(),
              "the mediator answers")
        assert self.proc.poll() is None, self.log()

    def healthy(self):
        try:
            return self.admin("/healthz") == "ok\n"
        except OSError:
            return False

    def admin(self, path):
        with urllib.request.urlopen(
                f"http://127.0.0.1:{self.admin_port}{path}", timeout=5) as r:
            return r.read().decode()

    def metric(self, name):
        for line in self.admin("/metrics").splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise KeyError(name)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def records(self, **want):
        """Of the fake's log."""
        with open(self.path("pns.jsonl"), encoding="ascii") as f:
            rows = [json.loads(line) for line in f]
        return [r for r in rows
                if all(r.get(k) == v for k, v in want.items())]

    def last(self, kind, count):
        """The last record of a kind, once there are so many."""
        until(lambda: len(self.records(kind=kind)) >= count,
              f"{count} requests of {kind} in the fake's log")
        return self.records(kind=kind)[count - 1]

    def counters(self):
        return self.ctl.counters()

    def signal(self, sig):
        self.proc.send_signal(sig)

    def stop(self):
        """Ends the mediator; its exit code."""
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
        return self.proc.wait(15)

    def close(self):
        code = self.stop() if self.proc else 0
        self.stop_fake()
        text = self.log() if self.proc else ""
        self.tmp.cleanup()
        assert code == 0, f"mediator ended with {code}\n{text[-4000:]}"
        assert "Sanitizer" not in text and "runtime error" not in text, text
