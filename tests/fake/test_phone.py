#!/usr/bin/python3
"""demo-phone against fake-pns, evil_registrar and a stand-in for the API.

usage: test_phone.py FAKE-PNS DEMO-PHONE [unittest arguments]
"""

import http.server
import json
import os
import shutil
import ssl
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import evil_registrar                                   # noqa: E402
import fakes                                            # noqa: E402
import h2mini                                           # noqa: E402

PNS, PHONE = "", ""
VOIP, ALERT = "aa" * 32, "bb" * 32
CALL = "6f1d1a3e-6b53-4b8c-9b57-0d2f6f3b8a01"
TOPIC = fakes.Pns.TOPIC


class Api(http.server.ThreadingHTTPServer):
    """Answers as sipis would on a good day and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, cert, key):
        super().__init__(("127.0.0.1", 0), Handler)
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(cert, key)
        self.socket = ctx.wrap_socket(self.socket, server_side=True)
        self.asked, self.known = [], True
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self):
        api = self.server
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        api.asked.append((self.command, self.path, body))
        status, answer = 200, {}
        if self.path == "/v1/instances":
            status, answer = 201, {"instance": "a" * 32, "secret": "s3cret",
                                   "state": "active"}
        elif self.headers.get("Authorization") != "Bearer s3cret" or \
                not api.known:
            status, answer = 401, {"detail": "no"}
        elif self.path.endswith("/state"):
            answer = {"state": body["state"], "calls": []}
        elif "/calls/" in self.path and self.command == "GET":
            answer = {"call": self.path.split("/")[-1], "ended": "cancelled"}
        elif self.command == "DELETE":
            status, answer = 204, None
        data = json.dumps(answer).encode() if answer is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = reply


class Phone(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="demo-phone-")
        cls.pns = fakes.Pns(PNS, cls.dir)
        cls.cert = [cls.path("provider.pem"), cls.path("provider.key")]
        cls.ca = cls.path("provider-ca.pem")
        cls.reg = evil_registrar.Registrar(tls=cls.cert).start()
        with open(cls.path("password"), "w", encoding="ascii") as f:
            f.write("pw-100\n")
        cls.jwt = cls.pns.apns_jwt()

    @classmethod
    def tearDownClass(cls):
        cls.reg.stop()
        code = cls.pns.stop()
        shutil.rmtree(cls.dir)
        assert code == 0

    @classmethod
    def path(cls, name):
        return os.path.join(cls.dir, name)

    def setUp(self):
        self.api = Api(*self.cert)
        self.reg.clear()
        self.reg.behave("ok")
        self.phone = None
        self.log = self.path(f"{self.id()}.jsonl")

    def tearDown(self):
        if self.phone:
            self.assertEqual(self.phone.stop(), 0)
        self.api.shutdown()
        self.api.server_close()

    def start(self, *options, transport="udp", platform="ios"):
        port = self.reg.tls_port if transport == "tls" else self.reg.port
        self.phone = fakes.Program(
            PHONE, "--stdin-life", "--api", f"https://localhost:{self.api.server_port}",
            "--ca", self.ca, "--app", "demo", "--topic", TOPIC,
            "--platform", platform, "--aor", "sip:100@demo.test",
            "--auth-user", "100", "--password-file", self.path("password"),
            "--installation", "phone1",
            "--token", f"{VOIP},{ALERT}" if platform == "ios" else "fcm-tok",
            "--pns", f"127.0.0.1:{self.pns.ready['control']}",
            "--sip-registrar",
            f"sip:localhost:{port};transport={transport}",
            "--sip-ca", self.ca, "--log", self.log, *options)
        return self.phone

    def steps(self):
        try:
            with open(self.log, encoding="utf-8") as f:
                return [json.loads(x) for x in f if x.endswith("\n")]
        except FileNotFoundError:
            return []

    def step(self, name, count=1, timeout=10):
        """The count-th step of that name, once it is there."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            got = [s for s in self.steps() if s["step"] == name]
            if len(got) >= count:
                return got[count - 1]
            threading.Event().wait(0.01)
        self.fail(f"no {name}: {[s['step'] for s in self.steps()]}")

    def names(self):
        return [s["step"] for s in self.steps()]

    def push(self, use="call", call=CALL, ms=10_000, caller="200", **more):
        """As the mediator would."""
        voip = use == "call"
        body = {"use": use, "call": call, "from": f"sip:{caller}@demo.test",
                "expires_at": int(time.time() * 1000) + ms, **more}
        if voip:
            body["aps"] = {}
        else:
            body["aps"] = {"content-available": 1}
        conn = h2mini.H2(self.pns.ports["apns"], self.ca)
        stream = conn.request([
            ("authorization", "bearer " + self.jwt),
            ("apns-topic", TOPIC + (".voip" if voip else "")),
            ("apns-push-type", "voip" if voip else "background"),
            ("apns-priority", "10" if voip else "5"),
            ("apns-expiration", "0")], json.dumps(body).encode(),
            path="/3/device/" + (VOIP if voip else ALERT))
        self.assertEqual(conn.answer(stream).status, 200)
        conn.close()

    def invite(self, **kw):
        self.step("registered")
        return self.reg.invite("100", **kw)

    def answered_call(self, transport):
        self.start("--answer-after", "10", transport=transport)
        self.push()
        call = self.invite()
        call.wait(180)
        call.wait(200)
        self.step("ack")
        call.bye()
        call.wait(200, "BYE")
        self.step("asleep", 2)
        want = ["created", "inactive", "asleep", "push", "registered",
                "invite", "180", "200", "ack", "bye", "ended",
                "unregistered", "inactive", "asleep"]
        got = [n for n in self.names() if n in want]
        self.assertEqual(got, want)
        self.assertEqual(self.step("ended")["outcome"], "answered")
        for name in ("push", "awake", "active", "registered", "reported", "invite",
                     "ringing", "200", "ended"):
            self.assertEqual(self.step(name)["call"], CALL, name)
        last = self.reg.records("100")[-1]
        self.assertEqual((last["expires"], last["answer"]), (0, 200))
        self.assertIn("+sip.instance", last["contact"])
        self.assertIn(b"m=audio", call.answer.body)
        states = [b for m, p, b in self.api.asked if p.endswith("/state")]
        self.assertEqual([s["state"] for s in states],
                         ["inactive", "active", "active", "inactive"])
        self.assertEqual(states[1]["call"], CALL)
        self.assertTrue(states[2]["contact"].startswith("sip:app-"))

    def test_udp(self):
        self.answered_call("udp")

    def test_tcp(self):
        self.answered_call("tcp")

    def test_tls(self):
        self.answered_call("tls")

    def test_tls_verifies_the_pbx(self):
        self.start("--sip-name", "elsewhere.test", transport="tls")
        self.push(ms=1500)
        self.assertEqual(self.step("error", timeout=40)["what"], "REGISTER")
        self.assertEqual(self.reg.count(), 0)

    def test_api_certificate_is_verified(self):
        with self.assertRaises(fakes.FakeError):
            self.start("--ca", "/dev/null")
        self.phone = None
        self.assertEqual(self.api.asked, [])

    def test_delayed_offer(self):
        self.start("--answer-after", "0")
        self.push()
        call = self.invite(sdp=False)
        call.wait(200)
        self.assertIn(b"m=audio", call.answer.body)
        self.step("ack")
        call.bye()
        self.step("asleep", 2)

    def test_decline(self):
        self.start("--decline-after", "10")
        self.push()
        call = self.invite()
        call.wait(486)
        self.step("asleep", 2)
        self.step("decline")
        self.assertIn(("POST", f"/v1/instances/{'a' * 32}/calls/{CALL}"
                       "/decline", None), self.api.asked)
        self.assertEqual(self.step("ended")["outcome"], "declined")

    def test_cancel(self):
        self.start("--ring-only")
        self.push()
        call = self.invite()
        call.wait(180)
        call.cancel('SIP;cause=200;text="Call completed elsewhere"',
                    "Q.850;cause=26")
        call.wait(487)
        reason = self.step("cancel")["reason"]
        self.assertIn("cause=200", reason)
        self.assertIn("cause=26", reason)
        self.assertEqual(self.step("ended")["outcome"], "cancelled")
        self.step("asleep", 2)

    def test_hangup(self):
        self.start("--answer-after", "0", "--hangup-after", "20")
        self.push()
        call = self.invite()
        call.wait_end()
        self.assertEqual(self.step("bye")["by"], "me")
        self.step("asleep", 2)

    def test_calls_and_exit(self):
        self.start("--answer-after", "0", "--hangup-after", "0", "--calls",
                   "1", "--delete-at-exit")
        self.push()
        self.invite()
        self.assertEqual(self.phone.proc.wait(10), 0)
        self.assertEqual(self.phone.stop(), 0)
        self.assertEqual(self.api.asked[-1][0], "DELETE")

    def test_two_calls_are_two_awakenings(self):
        self.start("--answer-after", "0", "--hangup-after", "0")
        other = CALL[:-1] + "2"
        for n, call in ((1, CALL), (2, other)):
            self.push(call=call)
            self.step("registered", n)
            self.reg.invite("100").wait_end()
            self.step("asleep", n + 1)
        self.assertEqual(self.step("invite", 2)["call"], other)
        # a new stack: a new Call-ID
        self.assertEqual(len({r["call_id"] for r in self.reg.records()}), 2)

    def test_busy(self):
        self.start("--ring-only")
        self.push()
        first = self.invite()
        first.wait(180)
        second = self.reg.invite("100", caller="300")
        second.wait(486)
        first.cancel()
        self.step("asleep", 2)

    def test_match_by_caller(self):
        self.start("--ring-only", "--stay-awake")
        self.push(caller="200")
        self.push(call=CALL[:-1] + "2", caller="300")
        self.step("push", 2)
        call = self.invite(caller="300")
        call.wait(180)
        self.assertEqual(self.step("invite")["call"], CALL[:-1] + "2")
        call.cancel()
        call.wait(487)
        call = self.reg.invite("100", caller="anonymous")
        call.wait(180)
        self.assertEqual(self.step("invite", 2)["call"], CALL)
        call.cancel()
        self.step("ended", 2)

    def test_late_push(self):
        self.start()
        self.push(ms=-1000)
        self.assertEqual(self.step("tombstone")["ended"], "cancelled")
        self.assertTrue(self.step("push")["late"])
        self.assertEqual(self.reg.count(), 0)

    def test_no_invite(self):
        self.start()
        self.push(ms=300)
        self.step("no_invite")
        self.assertEqual(self.step("ended")["outcome"], "lost")
        self.step("tombstone")
        self.step("asleep", 2)

    def test_ended_push(self):
        self.start()
        self.push()
        self.step("registered")
        self.push("ended", reason="cancelled")
        self.assertEqual(self.step("ended_push")["reason"], "cancelled")
        self.assertEqual(self.step("ended")["outcome"], "cancelled")
        self.step("asleep", 2)
        self.assertEqual(self.pns.counters()["voip_misused"], 0)

    def test_ended_before_it_woke(self):
        self.start("--wake-delay", "500")
        self.push()
        self.push("ended", reason="answered_elsewhere")
        self.assertEqual(self.step("tombstone")["call"], CALL)
        self.assertNotIn("awake", self.names())
        self.push()
        self.step("registered")

    def test_wrong_password(self):
        self.reg.behave("endless401")
        self.start()
        self.push(ms=100)
        self.assertEqual(self.step("error")["status"], 401)
        self.step("asleep", 2)

    def test_no_wake_and_no_report(self):
        self.pns.op("set", report_ms=20)
        self.start("--no-wake", "--no-report")
        self.push()
        self.step("killed")
        self.assertNotIn("awake", self.names())
        self.assertEqual(self.reg.count(), 0)
        self.pns.op("revive", device="phone1")
        self.pns.op("set", report_ms=5000)

    def test_instance_is_kept(self):
        keep = self.path("instance")
        self.start("--instance", keep)
        self.assertEqual(self.phone.stop(), 0)
        self.assertEqual(os.stat(keep).st_mode & 0o777, 0o600)
        self.start("--instance", keep)
        self.step("known")
        self.phone.stop()
        self.api.known = False
        with self.assertRaises(fakes.FakeError):
            self.start("--instance", keep)
        self.phone = None
        self.step("created", 2)

    def test_android(self):
        self.start("--answer-after", "0", "--hangup-after", "0",
                   "--project", "demo-project", platform="android")
        conn = h2mini.H2(self.pns.ports["fcm"], self.ca)
        form = ("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3A"
                "jwt-bearer&assertion=" + self.pns.fcm_assertion())
        bearer = json.loads(conn.answer(conn.request(
            [("content-type", "application/x-www-form-urlencoded")],
            form.encode(), path="/token")).body)["access_token"]
        message = {"message": {"token": "fcm-tok", "data": {
            "use": "call", "call": CALL, "caller": "sip:200@demo.test",
            "expires_at": str(int(time.time() * 1000) + 10_000)},
            "android": {"priority": "HIGH", "ttl": "10s"}}}
        st = conn.answer(conn.request(
            [("authorization", "Bearer " + bearer),
             ("content-type", "application/json")],
            json.dumps(message).encode(),
            path="/v1/projects/demo-project/messages:send"))
        conn.close()
        self.assertEqual(st.status, 200)
        self.invite().wait_end()
        self.assertEqual(self.step("invite")["call"], CALL)
        self.step("asleep", 2)
        created = self.api.asked[0][2]
        self.assertEqual(created["push"][0]["provider"], "fcm")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    PNS, PHONE = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
