#!/usr/bin/python3
"""fake-pns refuses what Apple and Google would refuse.

usage: test_pns.py PROGRAM [unittest arguments]
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fakes                                            # noqa: E402
import h2mini                                           # noqa: E402

PROGRAM = ""
BUNDLE = fakes.Pns.TOPIC
VOIP, ALERT = "aa" * 32, "bb" * 32
UUID = "6f1d1a3e-6b53-4b8c-9b57-0d2f6f3b8a01"
REFUSED, CALM = 7, 11


class Case(unittest.TestCase):
    """One program for all tests of a class; each starts from a clean slate."""

    options = ()

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="fake-pns-")
        cls.pns = fakes.Pns(PROGRAM, cls.dir, *cls.options)
        cls.jwt = cls.pns.apns_jwt()
        cls.defaults = cls.pns.op("set")["settings"]

    @classmethod
    def tearDownClass(cls):
        code = cls.pns.stop()
        shutil.rmtree(cls.dir)
        assert code == 0, f"fake-pns ended with {code}"

    def setUp(self):
        self.pns.op("clear")
        self.pns.op("set", **self.defaults)
        self.pns.op("reset_counters")
        self.pns.op("token", provider="apns", token=VOIP,
                    topic=BUNDLE + ".voip", state="ok")
        self.pns.op("token", provider="apns", token=ALERT, topic=BUNDLE,
                    state="ok")
        self.conns = []

    def tearDown(self):
        for c in self.conns:
            c.close()

    def control(self):
        control = fakes.Control(self.pns.ready["control"])
        self.conns.append(control)
        return control

    def connect(self, role="apns", **kw):
        c = h2mini.H2(self.pns.ports[role], self.pns.path("provider-ca.pem"),
                      **kw)
        self.conns.append(c)
        return c

    def headers(self, drop=(), extra=(), **kw):
        base = {"authorization": "bearer " + self.jwt,
                "apns-topic": BUNDLE + ".voip", "apns-push-type": "voip",
                "apns-priority": "10", "apns-expiration": "0"}
        base.update({k.replace("_", "-"): v for k, v in kw.items()})
        return [(k, v) for k, v in base.items() if k not in drop] + list(extra)

    def push(self, conn=None, body=None, path=None, token=VOIP, method="POST",
             **kw):
        own = conn is None
        conn = conn or self.connect()
        if body is None:
            body = {"use": "call", "call": UUID}
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        stream = conn.request(self.headers(**kw), body, method=method,
                              path=path or "/3/device/" + token)
        st = conn.answer(stream)
        if own:
            conn.close()
        return st

    def alert(self, **kw):
        kw.setdefault("body", {"aps": {"alert": "x"}})
        kw.setdefault("apns_topic", BUNDLE)
        kw.setdefault("apns_push_type", "alert")
        kw.setdefault("token", ALERT)
        return self.push(**kw)

    def refused(self, status, reason, st):
        self.assertEqual((st.status, json.loads(st.body or b"{}").get(
            "reason")), (status, reason))


class Transport(Case):
    def curl(self, *args):
        return subprocess.run(
            ("curl", "-sS", "--cacert", self.pns.path("provider-ca.pem"),
             *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            check=False)

    def test_curl_speaks_to_it(self):
        out = self.curl(
            "--http2", "-i", "-d", "{}", "-H", "apns-id: " + UUID,
            *(x for k, v in self.headers() for x in ("-H", f"{k}: {v}")),
            f"https://localhost:{self.pns.ports['apns']}/3/device/{VOIP}")
        self.assertIn(b"HTTP/2 200", out.stdout)
        self.assertIn(b"apns-id: " + UUID.encode(), out.stdout)
        self.assertNotIn(b"apns-unique-id", out.stdout)

    def test_sandbox_adds_unique_id(self):
        self.pns.op("token", provider="apns", token="cc" * 32,
                    topic=BUNDLE + ".voip", environment="sandbox")
        out = self.curl(
            "--http2", "-i", "-d", "{}",
            *(x for k, v in self.headers() for x in ("-H", f"{k}: {v}")),
            f"https://localhost:{self.pns.ports['sandbox']}/3/device/"
            + "cc" * 32)
        self.assertRegex(out.stdout,
                         rb"apns-unique-id: [0-9a-f-]{36}\r\n")
        self.assertRegex(out.stdout, rb"apns-id: [0-9a-f-]{36}\r\n")

    def test_http1_is_refused(self):
        out = self.curl("--http1.1",
                        f"https://localhost:{self.pns.ports['any']}/")
        self.assertNotEqual(out.returncode, 0)
        self.pns.wait("handshakes_failed")

    def test_no_alpn_is_refused(self):
        try:
            conn = self.connect(alpn=())
            self.assertFalse(conn.until(lambda: conn.settings_count, 5))
            self.assertTrue(conn.closed)
        except OSError:
            pass
        self.pns.wait("handshakes_failed")

    def test_one_stream_until_the_first_valid_jwt(self):
        conn = self.connect()
        conn.until(lambda: 3 in conn.settings)
        self.assertEqual(conn.settings[3], 1)
        self.refused(403, "InvalidProviderToken",
                     self.push(conn, authorization="bearer x.y.z"))
        self.assertEqual(conn.settings[3], 1)
        self.assertEqual(self.push(conn).status, 200)
        conn.until(lambda: conn.settings[3] == 1000)
        self.assertEqual(conn.settings[3], 1000)

    def test_a_stream_too_many_is_refused(self):
        conn = self.connect()
        conn.until(lambda: conn.settings_count)
        self.pns.op("set", delay_ms=300)
        # the acknowledged limit binds: the ACK is on its way before these
        frames = [conn.request_frames(self.headers(), b"{}",
                                      path="/3/device/" + VOIP)
                  for _ in range(3)]
        conn.send(b"".join(f for _, f in frames))
        got = [conn.answer(s) for s, _ in frames]
        self.assertEqual([s.rst for s in got], [None, REFUSED, REFUSED])
        self.assertEqual(got[0].status, 200)
        count = self.pns.counters()
        self.assertEqual(count["streams_refused"], 2)
        self.assertEqual(count["streams_over_limit"], 2)

    def test_excess_before_settings_is_refused_without_blame(self):
        self.pns.op("set", delay_ms=300)
        conn = self.connect()
        frames = [conn.request_frames(self.headers(), b"{}",
                                      path="/3/device/" + VOIP)
                  for _ in range(2)]
        conn.send(b"".join(f for _, f in frames))
        self.assertEqual(conn.answer(frames[1][0]).rst, REFUSED)
        self.assertEqual(conn.answer(frames[0][0]).status, 200)
        self.assertEqual(self.pns.counters()["streams_over_limit"], 0)

    def test_excess_goaway(self):
        self.pns.op("set", excess="goaway", delay_ms=200)
        conn = self.connect()
        conn.until(lambda: conn.settings_count)
        frames = [conn.request_frames(self.headers(), b"{}",
                                      path="/3/device/" + VOIP)
                  for _ in range(2)]
        conn.send(b"".join(f for _, f in frames))
        conn.until(lambda: conn.goaways)
        last, code, debug = conn.goaways[0]
        self.assertEqual((last, code), (frames[0][0], CALM))
        self.assertIn(b"Maximum active streams", debug)
        self.assertEqual(conn.answer(frames[0][0]).status, 200)

    def test_limit_shrinks_on_reject(self):
        self.pns.op("set", apns_shrink_on_reject=1)
        conn = self.connect()
        self.assertEqual(self.push(conn).status, 200)
        conn.until(lambda: conn.settings[3] == 1000)
        self.push(conn, token="ff" * 32)
        self.assertTrue(conn.until(lambda: conn.settings[3] == 1))
        self.push(conn)
        self.assertTrue(conn.until(lambda: conn.settings[3] == 1000))

    def test_fcm_starts_with_its_own_limit(self):
        conn = self.connect("fcm")
        conn.until(lambda: 3 in conn.settings)
        self.assertEqual(conn.settings[3], 100)
        conn = self.connect("any", sni="fcm.googleapis.com")
        conn.until(lambda: 3 in conn.settings)
        self.assertEqual(conn.settings[3], 100)

    def test_ping_is_answered_and_counted(self):
        conn = self.connect()
        conn.send(conn.frame(h2mini.PING, 0, 0, b"12345678"))
        self.assertTrue(conn.until(lambda: conn.pongs))
        self.pns.wait("pings")

    def test_wrong_certificate(self):
        fakes.certificate(self.pns.path("bad.pem"), self.pns.path("bad.key"),
                          ("elsewhere.test",),
                          (self.pns.path("provider-ca.pem"),
                           self.pns.path("provider-ca.key")))
        self.pns.op("tls", cert=self.pns.path("bad.pem"),
                    key=self.pns.path("bad.key"))
        with self.assertRaises(OSError):
            self.connect()
        self.pns.op("tls", cert=self.pns.path("provider.pem"),
                    key=self.pns.path("provider.key"))
        self.assertEqual(self.push().status, 200)

    def test_accept_modes(self):
        self.pns.op("accept", mode="refuse", kind="apns")
        with self.assertRaises(OSError):
            self.connect()
        self.pns.op("accept", mode="close")
        with self.assertRaises(OSError):
            self.connect()
        self.pns.op("accept", mode="normal")
        self.assertEqual(self.push().status, 200)

    def test_frozen_connection(self):
        conn = self.connect()
        self.assertEqual(self.push(conn).status, 200)
        self.pns.op("freeze", kind="apns")
        stream = conn.request(self.headers(), b"{}",
                              path="/3/device/" + VOIP)
        self.assertFalse(conn.until(lambda: conn.streams[stream].ended, 0.3))
        self.pns.op("thaw")
        self.assertEqual(conn.answer(stream).status, 200)

    def test_goaway_now_and_reset(self):
        conn = self.connect()
        self.assertEqual(self.push(conn).status, 200)
        self.pns.op("goaway", kind="apns",
                    debug=json.dumps({"reason": "Shutdown"}))
        conn.until(lambda: conn.goaways)
        self.assertEqual(conn.goaways[0],
                         (1, 0, b'{"reason": "Shutdown"}'))
        self.assertTrue(conn.until(lambda: conn.closed) or conn.closed)
        conn = self.connect()
        conn.until(lambda: conn.settings_count)
        self.assertEqual(self.pns.op("reset")["connections"], 1)
        conn.until(lambda: conn.closed)
        self.assertTrue(conn.closed)
        self.assertEqual(self.pns.wait("connections_open", 0), 0)


class Headers(Case):
    def test_ids(self):
        self.assertEqual(self.push(apns_id=UUID).status, 200)
        for bad in (UUID.upper(), UUID[:-1], UUID.replace("-", ""), "x"):
            self.refused(400, "BadMessageId", self.push(apns_id=bad))

    def test_duplicates(self):
        for name, value in (("apns-topic", BUNDLE + ".voip"),
                            ("apns-id", UUID), ("x-more", "1")):
            extra = [(name, value)] * 2
            self.refused(400, "DuplicateHeaders",
                         self.push(drop=(name,), extra=extra))

    def test_expiration(self):
        for good in ("0", "300", str(int(time.time()) + 30)):
            self.assertEqual(self.push(apns_expiration=good).status, 200)
        self.assertEqual(self.push(drop=("apns-expiration",)).status, 200)
        for bad in ("-1", "soon", "1.5", ""):
            self.refused(400, "BadExpirationDate",
                         self.push(apns_expiration=bad))
        self.assertEqual(self.pns.counters()["expiration_past"], 1)

    def test_priority(self):
        for bad in ("0", "11", "high", "010"):
            self.refused(400, "BadPriority", self.push(apns_priority=bad))
        self.assertEqual(self.push(drop=("apns-priority",)).status, 200)

    def test_collapse_id(self):
        self.assertEqual(self.push(apns_collapse_id="x" * 64).status, 200)
        # 64 characters, 65 bytes
        self.refused(400, "BadCollapseId",
                     self.push(apns_collapse_id="x" * 63 + "\u00e9"))

    def test_topics(self):
        self.refused(400, "MissingTopic", self.push(drop=("apns-topic",)))
        self.refused(400, "TopicDisallowed",
                     self.push(apns_topic="com.other.app.voip"))
        self.refused(400, "BadTopic", self.push(apns_topic=BUNDLE))
        self.refused(400, "BadTopic",
                     self.alert(apns_topic=BUNDLE + ".voip"))
        self.refused(400, "BadTopic", self.push(apns_topic="com app.voip"))
        self.refused(400, "DeviceTokenNotForTopic", self.alert(token=VOIP))

    def test_push_types(self):
        self.refused(400, "InvalidPushType",
                     self.alert(apns_push_type="loud"))
        self.refused(400, "InvalidPushType", self.alert(body={"x": 1}))
        self.refused(400, "InvalidPushType",
                     self.alert(body={"aps": {"x": [{"alert": 1}]}}))
        self.assertEqual(self.alert().status, 200)
        silent = {"aps": {"content-available": 1}}
        self.assertEqual(self.alert(apns_push_type="background", body=silent,
                                    apns_priority="5").status, 200)
        self.refused(400, "BadPriority",
                     self.alert(apns_push_type="background", body=silent))
        self.refused(400, "InvalidPushType",
                     self.alert(apns_push_type="background",
                                apns_priority="5",
                                body={"aps": {"content-available": 1,
                                              "sound": "x"}}))
        self.assertEqual(self.push(drop=("apns-push-type",)).status, 200)
        self.assertEqual(self.pns.counters()["push_type_missing"], 1)

    def test_bodies(self):
        def sized(n):
            return json.dumps({"a": ""}).encode().replace(
                b'""', b'"' + b"x" * (n - 9) + b'"')
        self.assertEqual(len(sized(5120)), 5120)
        self.assertEqual(self.push(body=sized(5120)).status, 200)
        self.refused(413, "PayloadTooLarge", self.push(body=sized(5121)))
        body = {"aps": {"alert": "x"}, "a": ""}
        room = 4096 - len(json.dumps(body))
        body["a"] = "x" * room
        self.assertEqual(self.alert(body=body).status, 200)
        body["a"] += "x"
        self.refused(413, "PayloadTooLarge", self.alert(body=body))
        self.refused(400, "PayloadEmpty", self.push(body=b""))
        for bad in (b"{", b"[]", b'{"a":1,}', b"{} x", b'{"a":01}',
                    b'{"a":"\xff"}', b'{"a":"\\x"}', b"null",
                    b'{"a":' * 100 + b"1" + b"}" * 100):
            self.refused(400, "PayloadEmpty", self.push(body=bad))

    def test_paths_and_methods(self):
        self.refused(405, "MethodNotAllowed", self.push(method="PUT"))
        self.refused(400, "MissingDeviceToken",
                     self.push(path="/3/device/"))
        self.refused(404, "BadPath", self.push(path="/3/device/ab/cd"))
        for path in ("/fcm/send", "/batch", "/gcm/send", "/",
                     "/v1/projects/demo-project/messages"):
            self.assertEqual(self.push(path=path).status, 404)
        self.assertEqual(self.pns.counters()["other"], 5)


class Jwt(Case):
    def one(self, token, **kw):
        return self.push(authorization="bearer " + token, **kw)

    def test_missing_and_malformed(self):
        self.refused(403, "MissingProviderToken",
                     self.push(drop=("authorization",)))
        for bad in ("bearer", "basic eA==", "bearer a.b",
                    "bearer a.b.c", "bearer " + self.jwt[:-2],
                    "bearer " + self.jwt + "="):
            self.refused(403, "InvalidProviderToken",
                         self.push(authorization=bad))

    def test_signature(self):
        fakes.ec_key(self.pns.path("other.p8"))
        make = self.pns.apns_jwt
        for bad in (make(key="other.p8"), make(head={"kid": "NOSUCHKEY0"}),
                    make(head={"alg": "HS256"}), make(iss="OTHERTEAM0"),
                    make(head={"alg": "none"})):
            self.refused(403, "InvalidProviderToken", self.one(bad))
        # DER instead of r||s, as OpenSSL writes it
        text = self.jwt.rsplit(".", 1)[0]
        der = fakes.openssl("dgst", "-sha256", "-sign",
                            self.pns.path("apns.p8"), stdin=text.encode())
        self.refused(403, "InvalidProviderToken",
                     self.one(text + "." + fakes.b64url(der)))

    def test_age(self):
        now = int(time.time())
        make = self.pns.apns_jwt
        self.assertEqual(self.one(make(now - 3500)).status, 200)
        self.refused(403, "ExpiredProviderToken", self.one(make(now - 3700)))
        self.refused(403, "InvalidProviderToken", self.one(make(now + 600)))
        self.refused(403, "InvalidProviderToken", self.one(make("soon")))

    def test_virtual_clock(self):
        conn = self.connect()
        self.assertEqual(self.push(conn).status, 200)
        self.pns.op("set", clock_offset_ms=3_700_000)
        self.refused(403, "ExpiredProviderToken", self.push(conn))
        fresh = self.pns.apns_jwt(int(time.time()) + 3700)
        self.assertEqual(self.one(fresh, conn=conn).status, 200)

    def test_wedge(self):
        self.pns.op("set", apns_wedge_on_expired=1)
        conn = self.connect()
        self.refused(403, "ExpiredProviderToken",
                     self.one(self.pns.apns_jwt(1), conn=conn))
        self.refused(403, "ExpiredProviderToken", self.push(conn))
        self.assertEqual(self.push().status, 200)

    def test_too_many_updates(self):
        conn = self.connect()
        now = int(time.time())
        self.assertEqual(self.push(conn).status, 200)
        other = self.pns.apns_jwt(now - 5)
        self.refused(429, "TooManyProviderTokenUpdates",
                     self.one(other, conn=conn))
        self.assertEqual(self.push(conn).status, 200)
        self.assertEqual(self.one(other).status, 200)
        self.pns.op("set", clock_offset_ms=1_300_000)
        self.assertEqual(self.one(other, conn=conn).status, 200)
        self.assertEqual(self.pns.counters()["jwt_updates_refused"], 1)

    def test_too_many_updates_on_all_connections(self):
        self.pns.op("set", apns_jwt_scope="server",
                    clock_offset_ms=100_000_000)
        now = int(time.time()) + 100_000
        a, b = self.pns.apns_jwt(now), self.pns.apns_jwt(now - 1)
        self.assertEqual(self.one(a).status, 200)
        self.refused(429, "TooManyProviderTokenUpdates", self.one(b))

    def test_distinct_tokens_are_counted(self):
        before = self.pns.counters()["jwt_distinct"]
        for age in (100, 200, 200):
            self.one(self.pns.apns_jwt(int(time.time()) - age))
        self.assertGreaterEqual(self.pns.counters()["jwt_distinct"],
                                before + 2)


class KeyScope(Case):
    options = ("--apns-key-environment", "sandbox")

    def test_production_is_refused(self):
        self.refused(403, "BadEnvironmentKeyIdInToken", self.push())
        self.pns.op("token", provider="apns", token=VOIP,
                    topic=BUNDLE + ".voip", environment="sandbox")
        self.assertEqual(self.push(self.connect("sandbox")).status, 200)
        self.assertEqual(
            self.push(self.connect("any", sni="api.sandbox.push.apple.com"),
                      ).status, 200)


class Tokens(Case):
    def put(self, state, **kw):
        self.pns.op("token", provider="apns", token=VOIP,
                    topic=BUNDLE + ".voip", state=state, **kw)

    def test_unknown_and_malformed(self):
        for bad in ("cc" * 32, "AA" * 32, "a" * 63, "xyz", "aa"):
            self.refused(400, "BadDeviceToken", self.push(token=bad))

    def test_environment(self):
        self.refused(400, "BadDeviceToken",
                     self.push(self.connect("sandbox")))

    def test_states(self):
        self.put("unregistered", dead_ms=1_700_000_000_123)
        st = self.push()
        self.refused(410, "Unregistered", st)
        self.assertEqual(json.loads(st.body)["timestamp"], 1_700_000_000_123)
        before = int(time.time() * 1000)
        self.put("expired")
        st = self.push()
        self.refused(410, "ExpiredToken", st)
        self.assertGreaterEqual(json.loads(st.body)["timestamp"], before)
        self.put("throttled")
        self.refused(429, "TooManyRequests", self.push())
        self.put("bad")
        self.refused(400, "BadDeviceToken", self.push())
        self.put("removed")
        self.refused(400, "BadDeviceToken", self.push())

    def test_any_token(self):
        self.pns.op("set", accept_any_token=1)
        self.assertEqual(self.push(token="cd" * 32).status, 200)
        self.refused(400, "BadDeviceToken", self.push(token="xy" * 32))
        self.put("unregistered")
        self.refused(410, "Unregistered", self.push())

    def test_duplicates_and_deadlines(self):
        now = int(time.time() * 1000)
        body = {"use": "call", "call": UUID, "expires_at": now - 1000}
        self.push(body=body, apns_id=UUID)
        self.push(body=body, apns_id=UUID)
        count = self.pns.counters()
        self.assertEqual(count["duplicates_apns_id"], 1)
        self.assertEqual(count["duplicates_call"], 1)
        self.assertEqual(count["late"], 2)

    def test_misused_voip(self):
        self.push(body={"use": "ended", "call": UUID})
        self.push(body={"aps": {}})
        self.push()
        self.assertEqual(self.pns.counters()["voip_misused"], 2)

    def test_log_and_wait_push(self):
        call = "00000000-0000-4000-8000-000000000001"
        t0 = time.time() * 1e6
        self.push(body={"use": "call", "call": call, "trace": call,
                        "expires_at": 4_000_000_000_000}, apns_id=UUID)
        line = self.pns.op("wait_push", call=call, token=VOIP)["push"]
        self.assertEqual(line["kind"], "apns")
        self.assertEqual(line["status"], 200)
        self.assertEqual(line["trace"], call)
        self.assertEqual(line["expires_at_ms"], 4_000_000_000_000)
        self.assertLessEqual(t0, line["request_us"])
        self.assertLessEqual(line["request_us"], line["answer_us"])
        self.assertEqual(len(line["token"]), 8)
        self.assertNotIn(VOIP, json.dumps(line))
        self.pns.op("ping")
        self.assertFalse(self.pns.op("wait_push", check=False, call="none",
                                     timeout_ms=10)["ok"])


class Devices(Case):
    def setUp(self):
        super().setUp()
        self.phone = self.control()
        self.phone.op("device", device="phone", tokens=[
            {"provider": "apns", "token": VOIP, "topic": BUNDLE + ".voip"},
            {"provider": "apns", "token": ALERT, "topic": BUNDLE},
            {"provider": "fcm", "token": "fcm-1", "project": "demo-project"},
        ])
        self.phone.op("revive", device="phone")

    def test_delivery(self):
        self.push(body={"use": "call", "call": UUID, "from": "sip:200@x"})
        event = self.phone.event()
        self.assertEqual(event["payload"]["from"], "sip:200@x")
        self.assertEqual((event["push_type"], event["token"],
                          event["priority"]), ("voip", VOIP, 10))
        self.phone.op("reported", device="phone", seq=event["seq"])
        self.assertEqual(self.pns.counters()["app_kills"], 0)

    def test_unreported_calls_kill_the_app(self):
        self.pns.op("set", report_ms=20)
        for kill in (1, 2, 3):
            self.push()
            self.assertEqual(self.phone.event()["event"], "push")
            event = self.phone.event()
            self.assertEqual((event["event"], event["kills"]),
                             ("killed", kill))
        self.assertEqual(self.push().status, 200)
        self.pns.wait("voip_dropped")
        self.assertEqual(self.pns.counters()["delivered"], 3)
        self.phone.op("revive", device="phone")
        self.push()
        self.assertEqual(self.phone.event()["event"], "push")

    def test_offline(self):
        later = str(int(time.time()) + 60)
        self.phone.op("offline", device="phone")
        self.push(apns_expiration="0")
        self.assertEqual(self.pns.counters()["lost_offline"], 1)
        self.push(apns_expiration=later, body={"n": 1})
        self.push(apns_expiration=later, body={"n": 2})
        self.alert(apns_expiration=later)
        self.phone.op("online", device="phone")
        events = [self.phone.event(), self.phone.event()]
        self.assertEqual(events[0]["payload"], {"n": 2})
        self.assertEqual(events[1]["push_type"], "alert")
        self.assertEqual(self.pns.counters()["delivered"], 2)

    def test_stored_push_expires(self):
        self.phone.op("offline", device="phone")
        self.push(apns_expiration=str(int(time.time()) + 60))
        self.pns.op("set", clock_offset_ms=61_000)
        self.phone.op("online", device="phone")
        self.assertEqual(self.pns.counters()["expired_stored"], 1)
        self.assertEqual(self.pns.counters()["delivered"], 0)

    def test_gone_phone(self):
        self.phone.close()
        self.push()
        self.assertEqual(self.pns.wait("lost_offline"), 1)


class Faults(Case):
    def test_every_reason(self):
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              "pns", "apns.c")
        with open(source, encoding="ascii") as f:
            reasons = re.findall(r'\{ "([A-Za-z]+)", ([0-9]{3}) \}',
                                 f.read())
        self.assertGreaterEqual(len(reasons), 29)
        conn = self.connect()
        for reason, status in reasons:
            self.pns.op("script", match={"kind": "apns"},
                        do={"reason": reason})
            self.refused(int(status), reason, self.push(conn))

    def test_match_times_skip(self):
        self.pns.op("script", name="a", match={"token": VOIP}, times=2,
                    skip=1, do={"status": 503, "reason": "Shutdown"})
        conn = self.connect()
        got = [self.push(conn).status for _ in range(4)]
        self.assertEqual(got, [200, 503, 503, 200])
        self.assertEqual(self.alert(conn=conn).status, 200)
        self.assertEqual(self.pns.op("scripts")["scripts"][0]["hits"], 2)
        self.pns.op("script", times=0, do={"status": 500})
        self.assertEqual(self.push(conn).status, 500)
        self.assertEqual(self.pns.op("clear")["cleared"], 2)
        self.assertEqual(self.push(conn).status, 200)

    def test_misspelt_script_is_refused(self):
        for bad in ({"do": {"stats": 1}}, {"match": {"knd": "x"}, "do": {}},
                    {"do": {"rst": "NO"}}, {}):
            self.assertFalse(self.pns.op("script", check=False, **bad)["ok"])

    def test_stream_faults(self):
        self.pns.op("script", do={"rst": "REFUSED_STREAM"})
        self.assertEqual(self.push().rst, REFUSED)
        self.pns.op("script", do={"rst": "INTERNAL_ERROR"})
        self.assertEqual(self.push().rst, 2)
        self.pns.op("script", do={"tcp_reset": True})
        conn = self.connect()
        self.push(conn)
        self.assertTrue(conn.closed)
        self.pns.op("script", do={"black_hole": True})
        conn = self.connect()
        stream = conn.request(self.headers(), b"{}",
                              path="/3/device/" + VOIP)
        self.pns.wait("faults", 4)
        self.assertFalse(conn.until(lambda: conn.streams[stream].ended, 0.1))
        self.assertEqual(self.pns.counters()["apns_ok"], 0)

    def test_delivered_but_answer_lost(self):
        self.pns.op("script", do={"tcp_reset": True, "deliver": True})
        self.push()
        self.push()
        self.assertEqual(self.pns.counters()["duplicates_call"], 1)

    def test_goaway_with_last_stream(self):
        conn = self.connect()
        self.assertEqual(self.push(conn).status, 200)
        self.pns.op("script",
                    do={"goaway": {"last": "before", "debug": "bye",
                                   "twice": True, "close_ms": 50}})
        stream = conn.request(self.headers(), b"{}",
                              path="/3/device/" + VOIP)
        conn.until(lambda: conn.closed)
        self.assertEqual(conn.goaways[0][0], 0x7fffffff)
        self.assertEqual(conn.goaways[1], (stream - 2, 0, b"bye"))
        self.assertIsNone(conn.streams[stream].status)
        self.assertEqual(self.pns.counters()["apns_ok"], 1)

    def test_goaway_this_is_answered(self):
        conn = self.connect()
        self.pns.op("script", do={"goaway": {"last": "this"}})
        self.assertEqual(self.push(conn).status, 200)
        conn.until(lambda: conn.closed)
        self.assertEqual(conn.goaways[0][0], 1)

    def test_settings(self):
        conn = self.connect()
        self.pns.op("script", skip=1, do={"max_streams": 3})
        self.push(conn)
        self.push(conn)
        self.assertTrue(conn.until(lambda: conn.settings[3] == 3))
        self.pns.op("settings", max_streams=7)
        self.assertTrue(conn.until(lambda: conn.settings[3] == 7))

    def test_bodies(self):
        self.pns.op("script", do={"reason": "BadTopic", "truncate": 5})
        self.assertEqual(self.push().body, b'{"rea')
        self.pns.op("script", do={"status": 502, "body": "<html>no</html>",
                                  "content_type": "text/html"})
        st = self.push()
        self.assertEqual((st.status, st.body), (502, b"<html>no</html>"))
        self.pns.op("script", do={"status": 400, "reason": "BadTopic",
                                  "headers_only": True})
        st = self.push()
        self.assertEqual((st.status, st.body), (400, b""))
        self.pns.op("script", do={"reason": "BadTopic", "split": 4})
        st = self.push()
        self.assertEqual(st.sizes, [4, 4, 4, 4, 4, 1])
        self.pns.op("script", do={"status": 400, "reason": "Surprise"})
        self.refused(400, "Surprise", self.push())

    def test_delay_and_order(self):
        conn = self.connect()
        self.push(conn)
        conn.until(lambda: conn.settings[3] == 1000)
        self.pns.op("script", match={"call": "slow"}, do={"delay_ms": 1000})
        slow = conn.request(self.headers(), b'{"call":"slow"}',
                            path="/3/device/" + VOIP)
        fast = conn.request(self.headers(), b'{"call":"fast"}',
                            path="/3/device/" + VOIP)
        self.assertEqual(conn.answer(fast).status, 200)
        self.assertFalse(conn.streams[slow].ended)
        self.assertEqual(conn.answer(slow).status, 200)
        line = self.pns.op("wait_push", call="slow")["push"]
        self.assertGreaterEqual(line["answer_us"] - line["request_us"],
                                990_000)

    def test_early_answer(self):
        self.pns.op("script", do={"status": 413, "reason": "PayloadTooLarge",
                                  "early": True})
        conn = self.connect()
        stream, data = conn.request_frames(self.headers(), b"", end=False,
                                           path="/3/device/" + VOIP)
        conn.send(data)
        self.assertTrue(conn.until(lambda: conn.streams[stream].ended))
        self.assertEqual(conn.streams[stream].status, 413)

    def test_reset_flood_is_survived_by_default(self):
        conn = self.connect()
        self.push(conn)
        conn.until(lambda: conn.settings[3] == 1000)
        for _ in range(30):
            data = b""
            for _ in range(100):
                stream, frames = conn.request_frames(self.headers(), b"",
                                                     end=False)
                data += frames + conn.frame(h2mini.RST, 0, stream,
                                            b"\0\0\0\x08")
            conn.send(data)
        self.assertEqual(self.pns.wait("rst_received", 3000), 3000)
        self.assertEqual(self.push(conn).status, 200)

    def test_quit_of_control_ends_waits(self):
        other = fakes.Control(self.pns.ready["control"])
        other.sock.sendall(b'{"op":"wait","counter":"apns","min":99}\n'
                           b'not json\n')
        self.assertEqual(other.line(5)["ok"], False)
        other.close()
        self.assertTrue(self.pns.op("ping")["ok"])


class DefaultResetRate(Case):
    options = ("--default-reset-rate",)

    def test_flood_is_answered_with_goaway(self):
        conn = self.connect()
        self.push(conn)
        conn.until(lambda: conn.settings[3] == 1000)
        try:
            for _ in range(20):
                data = b""
                for _ in range(100):
                    stream, frames = conn.request_frames(
                        self.headers(), b"", end=False)
                    data += frames + conn.frame(h2mini.RST, 0, stream,
                                                b"\0\0\0\x08")
                conn.send(data)
        except OSError:
            pass
        conn.until(lambda: conn.goaways or conn.closed)
        self.assertTrue(conn.goaways or conn.closed)


class Certificates(Case):
    """Certificate authentication: no JWT, but a client certificate."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="fake-pns-")
        ca = [os.path.join(cls.dir, n) for n in ("cca.pem", "cca.key")]
        cls.client = [os.path.join(cls.dir, n) for n in ("c.pem", "c.key")]
        fakes.certificate(*ca)
        fakes.certificate(*cls.client, ("client",), ca, "clientAuth")
        cls.pns = fakes.Pns(PROGRAM, cls.dir, "--client-ca", ca[0])
        cls.jwt = cls.pns.apns_jwt()
        cls.defaults = cls.pns.op("set")["settings"]

    def test_certificate_stands_for_a_jwt(self):
        conn = self.connect(client=self.client)
        self.assertEqual(self.push(conn, drop=("authorization",)).status, 200)

    def test_none(self):
        try:
            conn = self.connect()
            conn.until(lambda: conn.settings_count)
            self.assertTrue(conn.closed)
        except OSError:
            pass


class Fcm(Case):
    def setUp(self):
        super().setUp()
        self.pns.op("token", provider="fcm", token="tok", state="ok",
                    project="demo-project")

    def post(self, path, body, headers, conn=None):
        conn = conn or self.connect("fcm")
        stream = conn.request(headers, body, path=path)
        return conn.answer(stream)

    def oauth(self, assertion, grant="urn:ietf:params:oauth:grant-type:"
              "jwt-bearer", ctype="application/x-www-form-urlencoded"):
        st = self.post("/token", urllib.parse.urlencode(
            {"grant_type": grant, "assertion": assertion}).encode(),
            [("content-type", ctype)])
        return st.status, json.loads(st.body)

    def access(self):
        status, body = self.oauth(self.pns.fcm_assertion())
        self.assertEqual(status, 200)
        return body["access_token"]

    def send(self, message, bearer=None, project="demo-project", conn=None,
             **top):
        body = {"message": message, **top} if message is not None else top
        st = self.post(f"/v1/projects/{project}/messages:send",
                       json.dumps(body).encode(),
                       [("authorization", "Bearer " +
                         (bearer or self.access())),
                        ("content-type", "application/json")], conn)
        return st.status, json.loads(st.body)

    def test_oauth(self):
        status, body = self.oauth(self.pns.fcm_assertion())
        self.assertEqual((status, body["token_type"], body["expires_in"]),
                         (200, "Bearer", 3599))
        now = int(time.time())
        make = self.pns.fcm_assertion
        fakes.openssl("genpkey", "-algorithm", "RSA", "-out",
                      self.pns.path("other.key"))
        for bad, text in (
                (make(exp=now - 1, iat=now - 3000), "short-lived"),
                (make(exp=now + 7200), "short-lived"),
                (make(iat=now + 1000, exp=now + 2000), "short-lived"),
                (make(iat=None), "short-lived"),
                (make(key="other.key"), "Invalid JWT Signature"),
                (make(head={"kid": "x"}), "Invalid JWT Signature"),
                (make(aud="https://x.test/"), "audience"),
                (make(iss="x@y"), "account not found")):
            status, body = self.oauth(bad)
            self.assertEqual((status, body["error"]), (400, "invalid_grant"))
            self.assertIn(text, body["error_description"])
        self.assertEqual(self.oauth(make(scope="x"))[1]["error"],
                         "invalid_scope")
        self.assertEqual(self.oauth("a.b.c")[0], 400)
        self.assertEqual(self.oauth("x", grant="password")[1]["error"],
                         "unsupported_grant_type")
        self.assertEqual(self.oauth("x", ctype="text/plain")[0], 400)

    def test_success(self):
        status, body = self.send({"token": "tok", "data": {"use": "call"}})
        self.assertEqual(status, 200)
        self.assertRegex(body["name"],
                         r"^projects/demo-project/messages/0:\d+%[0-9a-f]+$")

    def error(self, got, status, code, fcm):
        self.assertEqual((got[0], got[1]["error"]["status"]), (status, code))
        details = got[1]["error"].get("details", [])
        self.assertEqual([d["errorCode"] for d in details
                          if "errorCode" in d], fcm)
        return details

    def test_bearer(self):
        self.error(self.send({"token": "tok"}, "ya29.no"), 401,
                   "UNAUTHENTICATED", [])
        bearer = self.access()
        self.pns.op("set", clock_offset_ms=3_600_000)
        self.error(self.send({"token": "tok"}, bearer), 401,
                   "UNAUTHENTICATED", [])

    def test_project(self):
        self.error(self.send({"token": "tok"}, project="nope"), 404,
                   "NOT_FOUND", [])

    def test_tokens(self):
        for state, status, code, fcm in (
                ("unregistered", 404, "NOT_FOUND", ["UNREGISTERED"]),
                ("mismatch", 403, "PERMISSION_DENIED",
                 ["SENDER_ID_MISMATCH"]),
                ("throttled", 429, "RESOURCE_EXHAUSTED",
                 ["QUOTA_EXCEEDED"]),
                ("bad", 400, "INVALID_ARGUMENT", ["INVALID_ARGUMENT"])):
            self.pns.op("token", provider="fcm", token="tok", state=state)
            self.error(self.send({"token": "tok"}), status, code, fcm)
        got = self.send({"token": "unknown"})
        self.error(got, 400, "INVALID_ARGUMENT", ["INVALID_ARGUMENT"])
        self.assertIn("not a valid FCM registration token",
                      got[1]["error"]["message"])

    def test_shape(self):
        good = {"token": "tok", "data": {"a": "b"}}
        android = {"priority": "HIGH", "ttl": "15.5s"}
        self.assertEqual(self.send({**good, "android": android})[0], 200)
        for bad in ({**good, "data": {"a": 1}},
                    {**good, "data": {"from": "x"}},
                    {**good, "data": {"message_type": "x"}},
                    {**good, "data": {"google.x": "x"}},
                    {**good, "data": {"gcmx": "x"}},
                    {**good, "priority": "high"},
                    {**good, "topic": "x"},
                    {"data": {"a": "b"}},
                    {**good, "android": {"ttl": "30"}},
                    {**good, "android": {"ttl": 30}},
                    {**good, "android": {"ttl": "-1s"}},
                    {**good, "android": {"ttl": "2419201s"}},
                    {**good, "android": {"priority": "URGENT"}},
                    {**good, "android": {"urgency": "HIGH"}},
                    {**good, "data": {"a": "x" * 4096}}):
            details = self.error(self.send(bad), 400, "INVALID_ARGUMENT", [])
            self.assertIn("fieldViolations", details[0], bad)
        self.assertEqual(self.send(good, unknown=1)[0], 400)
        self.assertEqual(self.send(None, to="x")[0], 400)
        self.assertEqual(
            self.send({**good, "data": {"a": "x" * 4095}})[0], 200)
        self.assertEqual(self.send({"token": "tok"},
                                   validate_only=True)[0], 200)

    def test_content_type_and_syntax(self):
        path = "/v1/projects/demo-project/messages:send"
        auth = ("authorization", "Bearer " + self.access())
        self.assertEqual(self.post(path, b"{}", [auth]).status, 400)
        self.assertEqual(self.post(path, b"{", [
            auth, ("content-type", "application/json")]).status, 400)

    def test_quota(self):
        self.pns.op("set", fcm_quota_per_min=2,
                    clock_offset_ms=int(60_000 - time.time() * 1000 % 60_000))
        bearer = self.access()
        got = [self.send({"token": "tok"}, bearer)[0] for _ in range(3)]
        self.assertEqual(got, [200, 200, 429])

    def test_scripts(self):
        bearer = self.access()
        for reason, status, fcm in (
                ("UNAVAILABLE", 503, ["UNAVAILABLE"]),
                ("INTERNAL", 500, ["INTERNAL"]),
                ("THIRD_PARTY_AUTH_ERROR", 401, ["THIRD_PARTY_AUTH_ERROR"]),
                ("PERMISSION_DENIED", 403, [])):
            self.pns.op("script", match={"kind": "fcm"},
                        do={"reason": reason, "retry_after": 7})
            got = self.send({"token": "tok"}, bearer)
            self.assertEqual(got[0], status)
            self.assertEqual(
                [d["errorCode"]
                 for d in got[1]["error"].get("details", [])], fcm)
        self.pns.op("script", match={"kind": "oauth"},
                    do={"status": 503, "reason": "backend_error"})
        self.assertEqual(self.oauth(self.pns.fcm_assertion())[0], 503)

    def test_delivery_and_ttl(self):
        phone = self.control()
        phone.op("device", device="android", tokens=[
            {"provider": "fcm", "token": "tok"}])
        bearer = self.access()
        self.send({"token": "tok", "data": {"use": "call", "call": UUID},
                   "android": {"priority": "HIGH"}}, bearer)
        event = phone.event()
        self.assertEqual((event["provider"], event["payload"]["call"],
                          event["priority"]), ("fcm", UUID, 10))
        phone.op("offline", device="android")
        self.send({"token": "tok", "data": {"n": "0"},
                   "android": {"ttl": "0s"}}, bearer)
        self.send({"token": "tok", "data": {"n": "1"}}, bearer)
        phone.op("online", device="android")
        self.assertEqual(phone.event()["payload"], {"n": "1"})
        self.assertEqual(self.pns.counters()["lost_offline"], 1)

    def test_unseen_high_messages_lose_their_priority(self):
        self.pns.op("set", report_ms=1)
        phone = self.control()
        phone.op("device", device="doze", tokens=[
            {"provider": "fcm", "token": "doze"}])
        bearer = self.access()
        message = {"token": "doze", "data": {"use": "wake"},
                   "android": {"priority": "HIGH"}}
        end = time.monotonic() + 5
        while time.monotonic() < end:
            self.send(message, bearer)
            if phone.event()["priority"] == 5:
                break
        self.assertGreaterEqual(self.pns.counters()["deprioritised"], 1)


class WebPush(Case):
    PATH = "/push/one"

    def setUp(self):
        super().setUp()
        self.key = self.pns.path("vapid.pem")
        if not os.path.exists(self.key):
            fakes.ec_key(self.key)
        self.sub = self.pns.op("token", provider="webpush", token=self.PATH,
                               state="ok", vapid="")

    def body(self, text=b'{"use":"call","call":"c-1"}', **kw):
        """With a sender key of its own, unless one is given."""
        key = kw.pop("key", None) or self.fresh()
        return fakes.web_push(text, self.sub["p256dh"], self.sub["auth"], key,
                              **kw)

    def fresh(self):
        path = self.pns.path("sender" + os.urandom(4).hex())
        fakes.ec_key(path)
        return path

    def post(self, body=b"", path=PATH, auth=None, drop=(), extra=(),
             method="POST", **kw):
        base = {"authorization": auth or fakes.vapid(self.key,
                                                     "https://localhost"),
                "ttl": "30", **{k.replace("_", "-"): v for k, v in kw.items()}}
        if body:
            base.setdefault("content-encoding", "aes128gcm")
        c = self.connect("any")
        return c.answer(c.request(
            [(k, v) for k, v in base.items() if k not in drop] + list(extra),
            body, method=method, path=path))

    def test_accepts(self):
        st = self.post(self.body(), urgency="high", topic="a_-9")
        self.assertEqual(st.status, 201, st.body)
        self.assertEqual(self.post(self.body(pad=b"\2" + bytes(40))).status,
                         201)
        self.pns.op("set", webpush_status=200, webpush_ttl_max_s=10)
        origin = f"https://localhost:{self.pns.ports['any']}"
        out = subprocess.run(
            ("curl", "-sSi", "--http2", "-X", "POST", "--cacert",
             self.pns.path("provider-ca.pem"), "-H", "ttl: 30", "-H",
             "authorization: " + fakes.vapid(self.key, origin),
             origin + self.PATH), capture_output=True, check=True).stdout
        self.assertIn(b"HTTP/2 200", out)
        self.assertIn(b"\nlocation: /message/", out)
        self.assertIn(b"\nttl: 10\r", out)

    def test_headers(self):
        for reason, how in (
                ("MissingTTL", {"drop": ["ttl"]}), ("MissingTTL", {"ttl": "x"}),
                ("BadUrgency", {"urgency": "HIGH"}),
                ("BadTopic", {"topic": "a" * 33}), ("BadTopic", {"topic": "a.b"}),
                ("ForbiddenHeader", {"extra": [("crypto-key", "dh=x")]}),
                ("ForbiddenHeader", {"extra": [("encryption", "salt=x")]}),
                ("DuplicateHeaders", {"extra": [("ttl", "1")]})):
            with self.subTest(how=how):
                self.refused(400, reason, self.post(**how))
        self.refused(405, "MethodNotAllowed", self.post(method="PUT"))

    def test_vapid(self):
        now, here = int(time.time()), "https://localhost"
        self.refused(401, "MissingVapid", self.post(drop=["authorization"]))
        self.refused(401, "MissingVapid", self.post(
            auth=fakes.vapid(self.key, here, scheme="WebPush")))
        for claims in ({"aud": "https://localhost/"}, {"aud": here + ":443"},
                       {"exp": now - 1}, {"exp": now + 90000}, {"exp": None},
                       {"sub": "push@example.com"}, {"sub": None}):
            with self.subTest(claims=claims):
                self.refused(403, "BadJwtToken", self.post(
                    auth=fakes.vapid(self.key, here, **claims)))
        good = fakes.vapid(self.key, here)
        other = fakes.b64url(fakes.public_point(self.fresh()))
        self.refused(403, "BadJwtToken",
                     self.post(auth=good.split("k=")[0] + "k=" + other))
        self.pns.op("set", webpush_apple=1)
        self.refused(403, "BadJwtToken", self.post(
            auth=fakes.vapid(self.key, here, sub="mailto:<a@b.example>")))
        self.pns.op("token", provider="webpush", token=self.PATH, vapid=other)
        self.refused(403, "OtherVapidKey", self.post())

    def test_browser(self):
        """What a browser would drop."""
        body, salt = self.body(), os.urandom(16)
        for reason, bad in (
                ("DecryptFailed", body[:-1] + bytes([body[-1] ^ 1])),
                ("DecryptFailed", body[:20] + b"\x41\x04" + body[22:86][::-1]
                 + body[86:]),
                ("BadEncryptionHeader", body[:80]),
                ("BadEncryptionHeader", body[:20] + b"\x40" + body[21:]),
                ("BadRecordSize", self.body(record=30)),
                ("BadRecordSize", self.body(record=17)),
                ("BadPadding", self.body(pad=b"\1")),
                ("BadPadding", self.body(b"", pad=bytes(4))),
                ("PayloadIsNoObject", self.body(b"[1]"))):
            with self.subTest(reason=reason):
                self.refused(400, reason, self.post(bad))
        self.refused(400, "BadContentEncoding",
                     self.post(body, content_encoding="aesgcm"))
        self.refused(413, "PayloadTooLarge", self.post(b"x" * 4097))
        self.assertEqual(self.post(self.body(salt=salt)).status, 201)
        self.refused(400, "SaltOrKeyReused", self.post(self.body(salt=salt)))
        key = self.fresh()
        self.assertEqual(self.post(self.body(key=key)).status, 201)
        self.refused(400, "SaltOrKeyReused", self.post(self.body(key=key)))
        self.pns.op("token", provider="webpush", token="/push/bare",
                    keys=False)
        self.refused(400, "SubscriptionHasNoKeys",
                     self.post(body, path="/push/bare"))

    def test_states(self):
        self.refused(404, "NoSuchSubscription", self.post(path="/push/none"))
        for state, status, reason in (
                ("unregistered", 410, "Unregistered"),
                ("mismatch", 403, "OtherVapidKey"),
                ("throttled", 429, "TooManyRequests")):
            self.pns.op("token", provider="webpush", token=self.PATH,
                        state=state)
            self.refused(status, reason, self.post())

    def test_offline(self):
        """A newer push of the same topic replaces one that waits; 0 is now or
        never."""
        phone = self.control()
        phone.op("device", device="b", tokens=[
            {"provider": "webpush", "token": self.PATH}])
        phone.op("offline", device="b")
        self.post(self.body(b'{"use":"call"}'), topic="t")
        self.post(self.body(b'{"use":"ended"}'), topic="t")
        self.post(self.body(b'{"use":"test"}'), ttl="0")
        phone.op("online", device="b")
        self.assertEqual(phone.event()["payload"], {"use": "ended"})
        counters = self.pns.counters()
        self.assertEqual((counters["delivered"], counters["lost_offline"]),
                         (1, 1))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PROGRAM = sys.argv.pop(1)
    unittest.main()
