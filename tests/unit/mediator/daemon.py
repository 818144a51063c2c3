#!/usr/bin/python3
"""The mediator as a whole: the wire in front, the fake of APNs and FCM behind.

    daemon.py BUILD [unittest options]
"""

import http.server
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import (ALERT, APP, CALL, DELIVERED, DRAIN, DROID, DUPLICATE, ENDED,  # noqa: E402
                 EXPIRED, MESSAGE, MISCONFIGURED, NOT_ALLOWED, PORTS, REJECTED,
                 RETRY_LATER, TEST, THROTTLED, TOKEN_GONE, TOPIC, VOICEMAIL,
                 VOIP, WAKE, Client, Lab, until, wire)

BUILD = None
UUID = "11111111-2222-8333-8444-%012d"


def word(value):
    return value.decode() if isinstance(value, bytes) else value


class Case(unittest.TestCase):
    over, fake_options = {}, ()

    def setUp(self):
        self.lab = Lab(BUILD, self.over, self.fake_options)
        self.addCleanup(self.lab.close)
        # It is fetched at the start: faults are for what comes after
        self.lab.ctl.wait("oauth_ok", 1)

    def client(self, *args, **kw):
        c = Client(self.lab, *args, **kw)
        self.addCleanup(c.close)
        return c

    def logged(self, text):
        """Lines are written together, so one may come a little later."""
        until(lambda: text in self.lab.log(), text)

    def outcome(self, answer, outcome, status=None, reason=None):
        self.assertEqual(answer.get(2), outcome, answer)
        if status is not None:
            self.assertEqual(answer.get(3, 0), status, answer)
        if reason is not None:
            self.assertIn(reason, word(answer.get(4, b"")))

    def fault(self, times=1, match=None, **do):
        self.lab.op("script", match=match or {"kind": "any"}, do=do,
                    times=times)


class Pushes(Case):
    def device(self, *tokens):
        """A phone at the fake, whose payloads we see."""
        import fakes
        ctl = fakes.Control(self.lab.fake.ready["control"])
        self.addCleanup(ctl.close)
        ctl.op("device", device="p", tokens=list(tokens), watch=False)
        return ctl

    def test_call_apns(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        dev = self.device({"provider": "apns", "token": VOIP,
                           "topic": f"{TOPIC}.voip"})
        ident = c.push(h, call=UUID % 1, instance="i-1",
                       display_name='Zoë "\\" \n <x>', trace="trace-9",
                       video=1)
        r = c.result()
        self.outcome(r, DELIVERED, 200)
        apns_id = word(r[5])
        self.assertEqual(apns_id.replace("-", ""), ident.hex())
        self.assertLess(r[6], r[7])
        self.assertLessEqual(r[7], r[8])
        row = self.lab.last("apns", 1)
        self.assertEqual(row["apns_id"], apns_id)
        self.assertEqual(row["topic"], f"{TOPIC}.voip")
        self.assertEqual((row["push_type"], row["priority"]), ("voip", 10))
        self.assertEqual(row["collapse_id"], UUID % 1)
        self.assertEqual(row["expiration"], row["expires_at_ms"] // 1000)
        self.assertEqual(row["trace"], "trace-9")
        p = dev.event()["payload"]
        self.assertEqual(p["display_name"], 'Zoë "\\"   <x>')
        self.assertEqual(p["from"], "sip:100@demo.test")
        self.assertEqual((p["use"], p["call"], p["instance"], p["video"]),
                         ("call", UUID % 1, "i-1", True))
        self.assertGreater(p["expires_at"], p["received_at"])
        until(lambda: " info push trace-9 result " in self.lab.log(), "a line")

    def test_uses_apns(self):
        """Nothing but a call is a VoIP push."""
        c = self.client()
        voip = c.handle(VOIP, uses=[CALL])
        alert = c.handle(ALERT, topic=TOPIC, uses=[MESSAGE, VOICEMAIL, ENDED,
                                                   WAKE, TEST])
        for n, (use, kind, prio) in enumerate((
                (MESSAGE, "alert", 10), (VOICEMAIL, "alert", 10),
                (ENDED, "background", 5), (WAKE, "background", 5),
                (TEST, "alert", 10)), 1):
            self.outcome(c.ask(alert, use, call=UUID % use, reason="cancelled"),
                         DELIVERED)
            row = self.lab.last("apns", n)
            self.assertEqual((row["topic"], row["push_type"], row["priority"]),
                             (TOPIC, kind, prio))
            self.outcome(c.ask(voip, use), REJECTED, reason="use")
        self.outcome(c.ask(alert, CALL), REJECTED, reason="use")
        self.assertEqual(self.lab.counters()["voip_misused"], 0)

    def test_uses_fcm(self):
        c = self.client()
        h = c.handle(DROID, provider="fcm")
        dev = self.device({"provider": "fcm", "token": DROID,
                           "project": "demo-project"})
        for use in (CALL, ENDED, MESSAGE, WAKE, TEST):
            self.outcome(c.ask(h, use, call=UUID % use, reason="cancelled",
                               video=1), DELIVERED)
            p = dev.event()["payload"]
            self.assertTrue(all(isinstance(v, str) for v in p.values()), p)
            self.assertEqual(p["caller"], "sip:100@demo.test")
            self.assertEqual(p["video"], "true")
        self.lab.last("fcm", 5)
        prio = [r["priority"] for r in self.lab.records(kind="fcm")]
        self.assertEqual(prio, [10, 10, 10, 5, 10])
        self.assertEqual(self.lab.counters()["oauth"], 1)

    def test_enrol_rules(self):
        c = self.client()
        for want, reason, how in (
                (DELIVERED, None, {"token": VOIP, "uses": [CALL]}),
                (DELIVERED, None, {"token": VOIP.upper(), "uses": [CALL]}),
                (DELIVERED, None, {"token": VOIP, "topic": f"{TOPIC}.voip"}),
                (DELIVERED, None, {"token": VOIP, "env": "sandbox"}),
                (REJECTED, "PushKit", {"token": VOIP, "topic": f"{TOPIC}.voip",
                                       "uses": [CALL, ENDED]}),
                (REJECTED, "topic", {"token": VOIP, "topic": "com.evil.app"}),
                (REJECTED, "topic", {"token": VOIP, "topic": f"{TOPIC}.voip2"}),
                (REJECTED, "environment", {"token": VOIP, "env": "staging"}),
                (REJECTED, "malformed", {"token": "xyz"}),
                (REJECTED, "malformed", {"token": VOIP + "/../x"}),
                (REJECTED, "malformed", {"token": DROID + "\n",
                                         "provider": "fcm"}),
                (REJECTED, "long", {"token": "a" * 5000, "provider": "fcm"}),
                (REJECTED, "provider", {"token": VOIP, "provider": "pigeon"}),
                (NOT_ALLOWED, "app", {"token": VOIP, "app": "other"})):
            a = c.enrol(**how)
            self.assertEqual(a.get(2), want, (how, a))
            if reason:
                self.assertIn(reason, word(a.get(3)))
                self.assertNotIn(4, a)

    def test_sealed(self):
        """No token in the handle, on disk or in the log."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.assertNotIn(bytes.fromhex(VOIP)[:8], h)
        self.assertNotIn(VOIP[:16].encode(), h)
        self.fault(status=410, reason="Unregistered")
        self.outcome(c.ask(h), TOKEN_GONE)
        self.assertNotIn(VOIP[:16], self.lab.log())
        for at in range(0, len(h), 7):
            bad = bytearray(h)
            bad[at] ^= 1
            self.outcome(c.ask(bytes(bad)), NOT_ALLOWED)
        self.outcome(c.ask(h[:20]), NOT_ALLOWED)
        self.outcome(c.ask(b""), NOT_ALLOWED)

    def test_expired(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.outcome(c.ask(h, seconds=-1), EXPIRED, 0)
        self.outcome(c.ask(h), DELIVERED)
        self.lab.op("freeze")
        self.outcome(c.ask(h, seconds=1.5), RETRY_LATER)
        self.lab.op("thaw")

    def test_long_texts(self):
        """A caller with a huge name still rings."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        d = c.handle(DROID, provider="fcm")
        self.outcome(c.ask(h, display_name="é" * 1500, from_="sip:" + "x" * 2000),
                     DELIVERED)
        self.outcome(c.ask(d, display_name="\x01" * 1500,
                           from_="sip:" + "\"" * 2000), DELIVERED)
        self.outcome(c.ask(h, call="x" * 65), REJECTED, reason="too long")
        self.outcome(c.ask(h, trace="x" * 65), REJECTED, reason="too long")

    def test_unknown_use(self):
        c = self.client()
        h = c.handle(DROID, provider="fcm")
        self.outcome(c.ask(h, 0), REJECTED)
        self.outcome(c.ask(h, 99), REJECTED)


class Repeats(Case):
    def test_finished(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        first = c.ask(h, call=UUID % 1)
        again = c.ask(h, call=UUID % 1, ident=first[1])
        self.assertEqual(first, again)
        self.assertEqual(self.lab.counters()["apns"], 1)
        other = self.client()
        self.assertEqual(other.ask(h, ident=first[1]), first)

    def test_gone_again(self):
        """A repeated TOKEN_GONE says again which."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.fault(status=410, reason="Unregistered")
        r = c.ask(h)
        self.assertEqual(r[10], h)
        self.assertEqual(c.ask(h, ident=r[1]), r)

    def test_in_flight(self):
        """The newest connection is told, and there is one push."""
        self.lab.op("set", delay_ms=1500)
        old, new = self.client(), self.client()
        h = old.handle(VOIP, uses=[CALL])
        ident = old.push(h, call=UUID % 1)
        self.lab.ctl.wait("apns", 1)
        new.push(h, call=UUID % 1, ident=ident)
        self.outcome(old.result(ident), DUPLICATE)
        self.outcome(new.result(ident), DELIVERED)
        new.push(h, call=UUID % 2, ident=b"s" * 16)
        new.push(h, call=UUID % 2, ident=b"s" * 16)
        got = [new.result()[2] for _ in range(2)]
        self.assertEqual(got, [DUPLICATE, DELIVERED])
        self.assertEqual(self.lab.counters()["apns"], 2)

    def test_connection_lost(self):
        """The result waits for who asks again."""
        self.lab.op("set", delay_ms=200)
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        ident = c.push(h)
        self.lab.ctl.wait("apns", 1)
        c.close()
        self.outcome(self.client().ask(h, ident=ident), DELIVERED)
        self.assertEqual(self.lab.counters()["apns"], 1)

    def test_gone_elsewhere(self):
        """Whoever asked is gone; another connection hears of the token."""
        self.fault(status=410, reason="Unregistered", delay_ms=1500)
        c, other = self.client(), self.client()
        h = c.handle(VOIP, uses=[CALL])
        seen = self.lab.counters()["requests"]
        c.push(h)
        self.lab.ctl.wait("requests", seen + 1)
        c.close()
        self.assertEqual(other.until(6)[1], h)

    def test_retry_later_is_forgotten(self):
        self.fault(2, status=503, reason="ServiceUnavailable")
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        r = c.ask(h)
        self.outcome(r, RETRY_LATER, 503)
        self.outcome(c.ask(h, ident=r[1]), DELIVERED)


class Providers(Case):
    def test_retry_once(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        for status, reason in ((503, "ServiceUnavailable"),
                               (500, "InternalServerError"),
                               (503, "Shutdown"), (400, "IdleTimeout")):
            self.fault(status=status, reason=reason)
            r = c.ask(h)
            self.outcome(r, DELIVERED, 200)
        d = c.handle(DROID, provider="fcm")
        self.fault(status=500, reason="INTERNAL", match={"kind": "fcm"})
        self.outcome(c.ask(d), DELIVERED)

    def test_same_id_when_unsure(self):
        """Lost after it was written: once more, with the same apns-id."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.outcome(c.ask(h), DELIVERED)
        for i, effect in enumerate(({"tcp_reset": True},
                                    {"rst": "INTERNAL_ERROR"},
                                    {"black_hole": True}), 1):
            self.fault(**effect)
            r = c.ask(h)
            self.outcome(r, DELIVERED, 200)
            row = self.lab.last("apns", 1 + 2 * i)
            self.assertEqual(row["apns_id"], word(r[5]), effect)

    def test_outcomes_apns(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.outcome(c.ask(h), DELIVERED)
        for status, reason, want in (
                (400, "BadDeviceToken", TOKEN_GONE),
                (400, "DeviceTokenNotForTopic", TOKEN_GONE),
                (410, "Unregistered", TOKEN_GONE),
                (410, "ExpiredToken", TOKEN_GONE),
                (400, "BadPriority", REJECTED),
                (413, "PayloadTooLarge", REJECTED),
                (429, "TooManyRequests", THROTTLED),
                (400, "SomethingNew", REJECTED),
                (410, "SomethingNew", REJECTED)):
            self.fault(status=status, reason=reason)
            r = c.ask(h)
            self.outcome(r, want, status, reason)
            self.assertEqual(10 in r, want == TOKEN_GONE)
        self.fault(status=410, reason="Unregistered",
                   timestamp_ms=int(time.time() * 1000) - 3600000)
        self.outcome(c.ask(h), RETRY_LATER, 410)

    def test_outcomes_fcm(self):
        c = self.client()
        h = c.handle(DROID, provider="fcm")
        self.outcome(c.ask(h), DELIVERED)
        for status, reason, want in (
                (404, "UNREGISTERED", TOKEN_GONE),
                (403, "SENDER_ID_MISMATCH", TOKEN_GONE),
                (400, "INVALID_ARGUMENT", TOKEN_GONE)):
            self.fault(status=status, reason=reason, match={"kind": "fcm"})
            self.outcome(c.ask(h), want, status, reason)
        self.fault(status=401, reason="UNAUTHENTICATED", match={"kind": "fcm"})
        self.lab.op("counters")
        self.outcome(c.ask(h), MISCONFIGURED, 401)  # a new one, young

    def test_quota_fcm(self):
        c = self.client()
        h = c.handle(DROID, provider="fcm")
        self.fault(status=429, reason="QUOTA_EXCEEDED", retry_after="30",
                   match={"kind": "fcm"})
        r = c.ask(h)
        self.outcome(r, THROTTLED, 429)
        self.assertTrue(25000 < r[9] <= 30000, r)
        seen = self.lab.counters()["fcm"]
        r = c.ask(h)
        self.outcome(r, THROTTLED, 0)
        self.assertTrue(25000 < r[9] <= 30000, r)
        self.assertEqual(self.lab.counters()["fcm"], seen)

    def test_wrong_environment_kills_no_token(self):
        """Until a push has passed there, a bad token may be a good one of
        the other environment."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        sandbox = c.handle(VOIP, uses=[CALL], env="sandbox")
        for reason in ("BadDeviceToken", "DeviceTokenNotForTopic"):
            self.fault(status=400, reason=reason)
            r = c.ask(h)
            self.outcome(r, MISCONFIGURED, 400, reason)
            self.outcome(r, MISCONFIGURED, 400, "apple/production")
            self.assertNotIn(10, r)
        self.outcome(c.ask(h), DELIVERED)
        self.fault(2, status=400, reason="BadDeviceToken")
        self.outcome(c.ask(sandbox), MISCONFIGURED, 400, "apple/sandbox")
        self.outcome(c.ask(h), TOKEN_GONE, 400)

    def test_many_dead_tokens_are_our_mistake(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.outcome(c.ask(h), DELIVERED)
        self.fault(0, status=400, reason="BadDeviceToken")
        got = [c.ask(h)[2] for _ in range(20)]
        self.assertEqual(got[:7], [TOKEN_GONE] * 7)
        self.assertEqual(got[8:], [MISCONFIGURED] * 12)
        self.assertEqual(self.lab.log().count("ALERT"), 1)

    def test_wrong_topic_stops_one_app(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.fault(status=400, reason="TopicDisallowed")
        self.outcome(c.ask(h), MISCONFIGURED, 400)
        self.outcome(c.ask(h), MISCONFIGURED, 0, "TopicDisallowed")
        self.outcome(c.ask(c.handle(VOIP, uses=[CALL], env="sandbox")),
                     DELIVERED)
        self.assertEqual(self.lab.log().count("ALERT"), 1)

    def test_stale_jwt(self):
        """A young JWT that is called stale: our clock, or theirs."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.fault(status=403, reason="ExpiredProviderToken")
        self.outcome(c.ask(h), MISCONFIGURED, 403)
        self.logged("check NTP")

    def test_unreachable(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.lab.stop_fake()
        began = time.monotonic()
        self.outcome(c.ask(h), RETRY_LATER, 0, "connection")
        self.assertLess(time.monotonic() - began, 4)
        self.lab.start_fake()
        until(lambda: c.ask(h)[2] == DELIVERED, "delivered again", 15)

    def test_nonsense(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        d = c.handle(DROID, provider="fcm")
        self.outcome(c.ask(d), DELIVERED)
        for i, body in enumerate(("<html>", "", "[" * 2000, '{"reason":7}',
                                  '{"error":[]}', "x" * 10000)):
            for handle, kind in ((h, "apns"), (d, "fcm")):
                self.fault(status=400, body=body, match={"kind": kind})
                self.outcome(c.ask(handle), REJECTED, 400)
        self.fault(status=302, body="", match={"kind": "apns"})
        self.outcome(c.ask(h), RETRY_LATER, 302)


class WebPush(Case):
    def vapid(self):
        """The public key, as the log tells it."""
        self.logged("VAPID public key")
        return re.search(r"VAPID public key (\S+)\n",
                         self.lab.log()).group(1)

    def subscribe(self, name="/push/one", **more):
        """A browser's subscription: its URL, and its keys if it has some."""
        answer = self.lab.op("token", provider="webpush", token=name, **more)
        return self.lab.url + name, answer if "auth" in answer else None

    def handle(self, c, name="/push/one", **more):
        url, keys = self.subscribe(name, **more)
        return c.handle(url, provider="webpush", keys=keys)

    def device(self, *names):
        import fakes
        ctl = fakes.Control(self.lab.fake.ready["control"])
        self.addCleanup(ctl.close)
        ctl.op("device", device="p", watch=False,
               tokens=[{"provider": "webpush", "token": n} for n in names])
        return ctl

    def test_call(self):
        """What the browser decrypts is what was pushed."""
        self.lab.op("set", webpush_apple=1)
        c = self.client()
        h = self.handle(c, vapid=self.vapid())
        dev = self.device("/push/one")
        self.outcome(c.ask(h, call=UUID % 1, instance="i-1", trace="trace-9",
                           display_name='Zoë "\\"', video=1), DELIVERED, 201)
        p = dev.event()["payload"]
        self.assertEqual((p["use"], p["call"], p["instance"], p["video"],
                          p["display_name"], p["from"]),
                         ("call", UUID % 1, "i-1", True, 'Zoë "\\"',
                          "sip:100@demo.test"))
        row = self.lab.last("webpush", 1)
        self.assertEqual(row["topic"], (UUID % 1).replace("-", ""))
        self.assertEqual(row["urgency"], "high")
        self.assertIn(int(row["ttl"]), (13, 14, 15))
        self.assertEqual(row["trace"], "trace-9")
        # a new salt and key for each, or the fake would refuse the second
        for n, (use, urgency) in enumerate((
                (ENDED, "high"), (TEST, "high"), (MESSAGE, "normal"),
                (VOICEMAIL, "normal"), (WAKE, "normal")), 2):
            self.outcome(c.ask(h, use, reason="cancelled"), DELIVERED, 201)
            row = self.lab.last("webpush", n)
            self.assertEqual(row["urgency"], urgency)
            self.assertNotIn("topic", row)
        self.assertNotIn("/push/one", self.lab.log())

    def test_no_keys(self):
        """Without keys, as RFC 8599 has none, there is no text at all."""
        c = self.client()
        h = self.handle(c, keys=False)
        dev = self.device("/push/one")
        self.outcome(c.ask(h, call=UUID % 1), DELIVERED, 201)
        self.assertNotIn("payload", dev.event())
        row = self.lab.last("webpush", 1)
        self.assertEqual(row["body"], 0)
        self.assertNotIn("call", row)

    def test_enrol_rules(self):
        c = self.client()
        url, keys = self.subscribe()
        half = {"p256dh": keys["p256dh"], "auth": ""}
        bad = {"p256dh": keys["p256dh"], "auth": "AAAA"}
        off = {"p256dh": "B" + "A" * 86, "auth": keys["auth"]}
        port = self.lab.fake_port
        for want, reason, token, k in (
                (DELIVERED, None, url, keys), (DELIVERED, None, url, None),
                (DELIVERED, None, "https://a.push.example/x", keys),
                (REJECTED, "both", url, half),
                (REJECTED, "malformed", url, bad),
                (REJECTED, "malformed", url, off),
                (REJECTED, "malformed", url.replace("https", "http"), keys),
                (REJECTED, "malformed", url + " x", None),
                (REJECTED, "malformed", f"https://[::1]:{port}/x", keys),
                (REJECTED, "malformed",
                 f"https://localhost:{port}@evil.example/x", keys),
                (REJECTED, "one of ours", "https://localhost/x", keys),
                (REJECTED, "one of ours", f"https://127.0.0.1:{port}/x", keys),
                (REJECTED, "one of ours", "https://push.example/x", keys),
                (REJECTED, "one of ours", "https://evil.example/x", keys)):
            with self.subTest(token=token, reason=reason):
                self.outcome(c.enrol(token, provider="webpush", keys=k), want)
                if reason:
                    self.logged(reason)

    def test_outcomes(self):
        c = self.client()
        h = self.handle(c)
        self.outcome(c.ask(h), DELIVERED, 201)
        for status, want, more in (
                (200, DELIVERED, {}), (204, DELIVERED, {}),
                (404, TOKEN_GONE, {}), (410, TOKEN_GONE, {}),
                (400, REJECTED, {}), (413, REJECTED, {}),
                (429, THROTTLED, {"retry_after": 7})):
            self.fault(status=status, reason="x", **more)
            r = c.ask(h)
            self.outcome(r, want, status)
            if more:
                self.assertEqual(r[9], 7000)
        for status in (500, 503, 507):
            self.fault(status=status)
            self.outcome(c.ask(h), DELIVERED, 201)

    def test_redirect(self):
        """Nobody is followed, wherever to."""
        c = self.client()
        h = self.handle(c)
        self.outcome(c.ask(h), DELIVERED)
        self.subscribe("/push/two")
        for status, want in ((301, TOKEN_GONE), (308, TOKEN_GONE),
                             (302, RETRY_LATER), (307, RETRY_LATER)):
            self.fault(status=status, location=self.lab.url + "/push/two")
            self.outcome(c.ask(h), want, status)
        self.assertEqual(self.lab.counters()["webpush"], 5)

    def test_other_key(self):
        """A subscription made with another key does not stop the others."""
        c = self.client()
        other = self.handle(c, "/push/two", vapid="BA" + "x" * 85)
        # nothing shows yet that it is not us
        for _ in range(2):
            self.outcome(c.ask(other), MISCONFIGURED, 403, "OtherVapidKey")
        self.logged("check key_file, subject")
        self.assertEqual(self.lab.log().count("ALERT"), 1)
        self.outcome(c.ask(self.handle(c)), DELIVERED)
        self.outcome(c.ask(other), TOKEN_GONE, 403, "OtherVapidKey")
        self.outcome(c.ask(self.handle(c)), DELIVERED)

    def test_http1(self):
        """Users' own servers may speak HTTP/1.1 alone; a reload allows one."""
        got = []

        class Service(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                size = int(self.headers["content-length"])
                got.append((self.path, dict(self.headers),
                            self.rfile.read(size)))
                self.send_response(201)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.lab.path("provider.pem"),
                            self.lab.path("provider.key"))
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        host = f"localhost:{server.server_port}"
        url = f"https://{host}/UP/..%2f;a/?up=1&x"
        c = self.client()
        first = self.handle(c)
        self.outcome(c.enrol(url, provider="webpush"), REJECTED)
        self.lab.set("credentials.2.webpush.endpoints", [host])
        self.lab.write()
        self.lab.signal(signal.SIGHUP)
        self.logged("new configuration")

        h = c.handle(url, provider="webpush", keys=self.subscribe()[1])
        idents = [c.push(h, use) for use in (CALL, MESSAGE, TEST)]
        results = {r[1]: r for r in (c.result() for _ in idents)}
        for ident in idents:
            self.outcome(results[ident], DELIVERED, 201)
        path, headers, body = got[0]
        headers = {k.lower(): v for k, v in headers.items()}
        self.assertEqual(path, "/UP/..%2f;a/?up=1&x")
        self.assertEqual(headers["content-encoding"], "aes128gcm")
        self.assertNotIn("expect", headers)
        self.assertGreater(len(body), 103)
        self.outcome(c.ask(first), NOT_ALLOWED)

    def test_long_answer(self):
        """Of an answer that does not end a little is kept."""
        c = self.client()
        h = self.handle(c)
        self.outcome(c.ask(h), DELIVERED)
        self.fault(status=500, body="x" * 100000)
        self.outcome(c.ask(h), DELIVERED)


class Inside(Case):
    """No way into the operator's own network, whatever a name leads to."""
    over = {"credentials.2.webpush.private_addresses": False}

    def test_refused(self):
        c = self.client()
        before = self.lab.counters()["connections"]
        url = self.lab.url + "/push/one"
        h = c.handle(url, provider="webpush")
        self.outcome(c.ask(h), MISCONFIGURED, 0, "private")
        self.assertEqual(self.lab.counters()["connections"], before)
        self.logged("private_addresses")
        self.assertEqual(self.lab.log().count("ALERT"), 1)

        # where "*" alone allows them, such hosts are not ours to mend
        self.lab.set("credentials.2.webpush.endpoints", ["*"])
        self.lab.write()
        self.lab.signal(signal.SIGHUP)
        self.logged("new configuration")
        for host in ("a.localhost", "b.localhost"):
            h = c.handle(f"https://{host}/x", provider="webpush")
            self.outcome(c.ask(h), MISCONFIGURED, 0, "private")
            self.logged(f"browsers/{host}: 0 address of a private network;")
        self.assertEqual(self.lab.log().count("ALERT"), 1)
        self.assertEqual(self.lab.log().count(" warning dest "), 1)


class Load(Case):
    over = {"tenants.0.limits": {"rate": 100000, "burst": 100000,
                                 "depth": 100000},
            "server.window": 20000, "log_level": "info"}

    def burst(self, c, h, n, **kw):
        ids = {c.push(h, call=UUID % i, **kw) for i in range(n)}
        got = {}
        while len(got) < n:
            r = c.result()
            if r[2] != DUPLICATE:
                got[r[1]] = r
        self.assertEqual(set(got), ids)
        return [r[2] for r in got.values()]

    def test_cold_burst(self):
        """A burst on a cold start is one connection, and one stream first."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        before = self.lab.counters()["connections"]
        self.assertEqual(set(self.burst(c, h, 300)), {DELIVERED})
        k = self.lab.counters()
        self.assertEqual(k["connections"] - before, 1, k)
        self.assertEqual(k["streams_over_limit"] + k["streams_refused"], 0, k)
        self.assertEqual(k["jwt_distinct"], 1)

    def test_goaway(self):
        """Nothing is lost when the provider sends us elsewhere."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.burst(c, h, 1)
        for last in ("all", "none"):
            self.lab.op("set", delay_ms=100)
            ids = {c.push(h, call=UUID % i) for i in range(100)}
            self.lab.ctl.wait("apns", 20)
            self.lab.op("goaway", kind="apns", last=last)
            got = {r[1]: r[2] for r in (c.result() for _ in ids)}
            self.assertEqual(set(got), ids)
            self.assertEqual(set(got.values()), {DELIVERED})
            self.lab.op("set", delay_ms=0)
        k = self.lab.counters()
        self.assertLessEqual(k["connections"], 4, k)
        self.assertEqual(k["streams_refused"], 0, k)

    def test_shrinking_streams(self):
        """After a rejected push the provider may allow one stream only."""
        self.lab.op("set", apns_shrink_on_reject=1)
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.burst(c, h, 1)
        self.fault(status=400, reason="BadPriority")
        got = self.burst(c, h, 100)
        self.assertEqual(sorted(set(got)), [DELIVERED, REJECTED])
        self.assertEqual(self.lab.counters()["streams_over_limit"], 0)

    def test_silent_connection(self):
        """Frozen in the middle of pushes: found and replaced."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.burst(c, h, 1)
        self.lab.op("freeze")
        self.assertEqual(set(self.burst(c, h, 10)), {DELIVERED})
        self.logged("is silent")

    def test_rate(self):
        """One tenant over its rate waits, then hears so."""
        self.lab.set("tenants.0.limits", {"rate": 10, "burst": 5, "depth": 50})
        self.lab.write()
        self.lab.signal(signal.SIGHUP)
        until(lambda: "new configuration" in self.lab.log(), "reloaded")
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        got = self.burst(c, h, 80)
        self.assertGreaterEqual(got.count(THROTTLED), 30)
        self.assertTrue(5 + 25 <= got.count(DELIVERED) <= 5 + 40, got)


class Late(Case):
    """Calls that wait here while they end."""
    over = {"tenants.0.limits": {"rate": 1, "burst": 1, "depth": 50}}

    def waiting(self, c, h, n, **more):
        """The bucket is empty and so many calls wait."""
        self.outcome(c.ask(h, call=UUID % 0), DELIVERED)
        return [c.push(h, call=UUID % (i + 1), instance="i-1", **more)
                for i in range(n)]

    def pushed(self, *calls):
        """These and no others, the last of them the last push of all."""
        def seen():
            return [r["call"] for r in self.lab.records(use="call")]
        until(lambda: calls[-1] in seen(), "the fake's log")
        self.assertEqual(seen(), list(calls))

    def test_call_over(self):
        """The ENDED of a call drops its CALL, of that phone alone."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        alert = c.handle(ALERT, topic=TOPIC, uses=[ENDED])
        over, waits = self.waiting(c, h, 2)
        end = c.push(alert, ENDED, call=UUID % 1, instance="i-1",
                     reason="cancelled")
        other = c.push(alert, ENDED, call=UUID % 2, instance="i-2")
        self.outcome(c.result(over), EXPIRED, 0, "over")
        got = {}
        while len(got) < 3:
            r = c.result()
            got[r[1]] = r
        for ident in (end, other, waits):
            self.outcome(got[ident], DELIVERED, 200)
        self.outcome(c.ask(h, call=UUID % 1, instance="i-1", ident=over),
                     EXPIRED, 0, "over")
        self.pushed(UUID % 0, UUID % 2)

    def test_send_by(self):
        """Its turn comes too late, though the call still waits; it may be
        asked for again."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        (late,) = self.waiting(c, h, 1, send_by=0.3)
        self.outcome(c.result(), EXPIRED, 0, "queue")
        self.outcome(c.ask(h, call=UUID % 1, ident=late, send_by=3),
                     DELIVERED, 200)
        self.pushed(UUID % 0, UUID % 1)

    def test_frozen(self):
        """What lay in the socket for too long is not sent."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.lab.signal(signal.SIGSTOP)
        c.push(h, call=UUID % 0, send_by=0.3)
        over = time.monotonic() + 0.4
        until(lambda: time.monotonic() > over, "its time is over")
        self.lab.signal(signal.SIGCONT)
        self.outcome(c.result(), EXPIRED, 0, "when it came")
        self.outcome(c.ask(h, call=UUID % 1), DELIVERED)
        self.pushed(UUID % 1)


class ResetRate(Load):
    """A server that defends itself against curl's RST_STREAM habit."""
    fake_options = ("--default-reset-rate",)

    def test_survives(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.burst(c, h, 1)
        got = self.burst(c, h, 3000)
        self.assertEqual(set(got), {DELIVERED})
        k = self.lab.counters()
        self.assertLessEqual(k["connections"], 12, k)
        self.assertEqual(k["streams_refused"], 0, k)


class Lanes(Case):
    """Calls next to messages that hang."""
    over = {"credentials.0.apns.link.streams": 8,
            "credentials.0.apns.link.connections": 2,
            "limits": {"rate": 1000, "burst": 1000, "depth": 10},
            "tenants": [{"name": "demo", "apps": [APP]},
                        {"name": "other", "apps": [APP]}]}

    def hang(self, c, n):
        """So many messages without an answer."""
        h = c.handle(ALERT, topic=TOPIC, uses=[MESSAGE])
        self.fault(0, {"push_type": "alert"}, black_hole=True)
        for i in range(n):
            c.push(h, MESSAGE, call=UUID % i)

    def quick(self, c, h):
        began = time.monotonic()
        self.outcome(c.ask(h), DELIVERED)
        self.assertLess(time.monotonic() - began, 1)

    def test_depth(self):
        """The lane of messages is full to the brim."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.outcome(c.ask(h), DELIVERED)
        self.hang(c, 40)
        self.outcome(c.result(), THROTTLED, 0, "queue full")
        self.quick(self.client(), h)

    def test_streams(self):
        """Every stream that messages may have hangs."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.outcome(c.ask(h), DELIVERED)
        self.hang(c, 10)
        self.lab.ctl.wait("streams_open", 6)
        for _ in range(10):
            self.quick(c, h)

    def test_cold(self):
        """Messages hang before the first answer ever."""
        c = self.client()
        self.hang(c, 10)
        self.lab.ctl.wait("streams_open", 1)
        self.quick(c, c.handle(VOIP, uses=[CALL]))

    def test_tenants(self):
        a, b = self.client(), self.client("tenant-other")
        self.hang(a, 10)
        self.lab.ctl.wait("streams_open", 1)
        for _ in range(5):
            self.quick(b, b.handle(VOIP, uses=[CALL]))


class Tenants(Case):
    over = {"tenants": [{"name": "demo", "apps": [APP]},
                        {"name": "other", "apps": [APP]}]}

    def test_junk_of_another(self):
        """One tenant's dead tokens say nothing about another's."""
        demo, other = self.client(), self.client("tenant-other")
        h, junk = demo.handle(VOIP, uses=[CALL]), other.handle(ALERT)
        self.outcome(demo.ask(h), DELIVERED)
        self.fault(21, status=400, reason="BadDeviceToken")
        self.outcome(other.ask(junk), MISCONFIGURED, 400, "apple/production")
        for _ in range(19):
            other.ask(junk)
        self.outcome(demo.ask(h), TOKEN_GONE, 400)
        self.outcome(demo.ask(h), DELIVERED)
        self.outcome(other.ask(junk), DELIVERED)
        self.fault(status=400, reason="BadDeviceToken")
        self.outcome(other.ask(junk), MISCONFIGURED, 400)
        until(lambda: "tenant other dead" in self.lab.log(), "the alert")


    def test_metrics(self):
        """Each tenant has its own rows, and keeps them over a reload."""
        demo, other = self.client(), self.client("tenant-other")
        h, foreign = demo.handle(VOIP, uses=[CALL]), other.handle(ALERT)
        self.outcome(demo.ask(h), DELIVERED)
        self.outcome(demo.ask(h), DELIVERED)
        self.outcome(demo.ask(foreign), NOT_ALLOWED)

        def pushes(tenant, outcome):
            return self.lab.metric(
                f'mediator_tenant_pushes_total{{tenant="{tenant}",'
                f'outcome="{outcome}"}}')
        for again in (False, True):
            self.assertEqual(pushes("demo", "delivered"), 2)
            self.assertEqual(pushes("demo", "not_allowed"), 1)
            with self.assertRaises(KeyError):
                pushes("other", "delivered")
            for tenant in ("demo", "other"):
                self.assertEqual(self.lab.metric(
                    f'mediator_tenant_connections{{tenant="{tenant}"}}'), 1)
            if not again:
                self.lab.signal(signal.SIGHUP)
                until(lambda: "new configuration" in self.lab.log(),
                      "reloaded")


class Keys(Case):
    def test_wrong_key(self):
        """One alert, then everything fails fast; mended by SIGHUP."""
        good = self.lab.config["credentials"][0]["apns"]["key_id"]
        self.lab.stop()
        self.lab.set("credentials.0.apns.key_id", "WRONG12345")
        self.lab.start()
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.outcome(c.ask(h), MISCONFIGURED, 403, "InvalidProviderToken")
        for _ in range(50):
            self.outcome(c.ask(h), MISCONFIGURED, 0, "InvalidProviderToken")
        self.assertEqual(self.lab.log().count("ALERT"), 1)
        self.assertLessEqual(self.lab.counters()["apns_rejected"], 1)
        d = c.handle(DROID, provider="fcm")
        self.outcome(c.ask(d), DELIVERED)
        self.lab.set("credentials.0.apns.key_id", good)
        self.lab.write()
        self.lab.signal(signal.SIGHUP)
        until(lambda: "new configuration" in self.lab.log(), "reloaded")
        self.outcome(c.ask(h), DELIVERED)

    def reload(self):
        before = self.lab.log().count("new configuration")
        self.lab.write()
        self.lab.signal(signal.SIGHUP)
        until(lambda: self.lab.log().count("new configuration") > before,
              "reloaded")

    def test_stale_config(self):
        """A bad file is seen in a gauge until a good one is read."""
        self.assertEqual(self.lab.metric("mediator_config_stale"), 0)
        self.lab.set("server.window", 0xffffff)
        self.lab.write()
        self.lab.signal(signal.SIGHUP)
        until(lambda: self.lab.metric("mediator_config_stale") == 1, "stale")
        self.logged("server.window")
        self.lab.set("server.window", 512)
        self.reload()
        self.assertEqual(self.lab.metric("mediator_config_stale"), 0)

    def test_handle_keys(self):
        """Old keys open, the new one seals: what comes under an old one goes
        back under the new one."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.assertNotIn(11, c.ask(h))
        old, new = self.lab.path("handle.key"), self.lab.path("handle2.key")
        with open(new, "w", encoding="ascii", opener=lambda path, flags:
                  os.open(path, flags, 0o400)) as f:
            f.write(os.urandom(32).hex() + "\n")
        self.lab.set("old_handle_key_files", [new])
        self.reload()
        self.assertNotIn(11, c.ask(h))
        self.lab.set("handle_key_file", new)
        self.lab.set("old_handle_key_files", [old])
        self.reload()
        answer = c.ask(h)
        self.outcome(answer, DELIVERED)
        self.assertEqual(answer[10], h)
        moved = answer[11]
        self.assertNotEqual(moved[:5], h[:5])
        self.assertEqual(
            self.lab.metric("mediator_old_handles_total"), 1)
        self.fault(status=400, reason="BadDeviceToken")
        dead = c.ask(h)
        self.outcome(dead, TOKEN_GONE)
        self.assertEqual((dead[10], 11 in dead), (h, False))
        self.lab.set("old_handle_key_files", [])
        self.reload()
        self.outcome(c.ask(h), NOT_ALLOWED, reason="another key")
        again = c.ask(moved)
        self.outcome(again, DELIVERED)
        self.assertNotIn(11, again)

    def test_no_push_pays(self):
        """Both bearers are there before anybody asks."""
        self.lab.ctl.wait("oauth_ok", 1)
        until(lambda: os.path.exists(self.lab.path("state/apns-apple.jwt")),
              "a JWT without a push")

    def test_renewal_fails(self):
        """What waits goes out with the old token as long as that lives."""
        self.lab.stop()
        self.lab.set("credentials.1.fcm.link.streams", 1)
        self.lab.set("credentials.1.fcm.link.connections", 1)
        self.lab.op("set", fcm_token_life_s=8, delay_ms=100)
        self.lab.op("script", match={"kind": "oauth"}, times=0, skip=1,
                    do={"status": 400, "reason": "invalid_grant"})
        self.lab.start()
        c = self.client()
        d = c.handle(DROID, provider="fcm")
        for _ in range(5):
            c.push(d)
        while "invalid_grant" not in self.lab.log():
            self.outcome(c.result(), DELIVERED)
            c.push(d)
        for _ in range(5):
            self.outcome(c.result(), DELIVERED)

    def test_wrong_account(self):
        self.lab.stop()
        self.fault(0, match={"kind": "oauth"}, status=400,
                   reason="invalid_grant")
        self.lab.start()
        c = self.client()
        d = c.handle(DROID, provider="fcm")
        self.outcome(c.ask(d), MISCONFIGURED, 0, "invalid_grant")
        self.outcome(c.ask(d), MISCONFIGURED, 0, "invalid_grant")
        self.assertEqual(self.lab.log().count("ALERT"), 1)
        self.lab.op("clear")
        until(lambda: c.ask(d)[2] == DELIVERED, "token after all", 15)

    def test_restart_keeps_jwt(self):
        c = self.client()
        self.outcome(c.ask(c.handle(VOIP, uses=[CALL])), DELIVERED)
        self.assertEqual(self.lab.stop(), 0)
        self.lab.start()
        c = self.client()
        self.outcome(c.ask(c.handle(VOIP, uses=[CALL])), DELIVERED)
        self.assertEqual(self.lab.counters()["jwt_distinct"], 1)
        with open(self.lab.path("state/apns-apple.jwt"), "rb") as f:
            self.assertNotIn(b"eyJ", f.read())

    def test_untrusted_provider(self):
        self.lab.stop()
        self.lab.set("credentials.0.apns.link.ca",
                     self.lab.path("site-ca.pem"))
        self.lab.start()
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.outcome(c.ask(h), MISCONFIGURED, 0, "trusted")
        self.assertEqual(self.lab.log().count("ALERT"), 1)
        self.assertEqual(self.lab.counters()["apns"], 0)

    def test_handle_of_another_key(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.lab.stop()
        os.unlink(self.lab.path("handle.key"))
        with open(self.lab.path("handle.key"), "w", encoding="ascii") as f:
            f.write("7" * 64 + "\n")
        os.chmod(self.lab.path("handle.key"), 0o400)
        self.lab.start()
        self.outcome(self.client().ask(h), NOT_ALLOWED, 0, "another key")


class Sessions(Case):
    over = {"server.handshake_ms": 2000, "server.window": 4, "limits.connections": 3,
            "server.unauthenticated": 32, "server.drain_ms": 2000}

    def refused(self, c, reason):
        seen = c.closed()
        self.assertTrue(isinstance(seen, list), seen)
        self.assertEqual(seen[-1][0], wire.REFUSED, seen)
        self.assertEqual(word(seen[-1][1][1]), reason)

    def test_first_frame(self):
        for data, reason in (
                (wire.frame(wire.PUSH, [(1, b"x" * 16)]), "frame"),
                (wire.frame(wire.PING, [(1, 7)]), "frame"),
                (wire.frame(wire.HELLO, [(1, 9), (2, 9)]), "version"),
                (wire.frame(wire.HELLO, []), "version"),
                (struct.pack(">I", 8193), "frame"),
                (struct.pack(">I", 0), "frame"),
                (os.urandom(200), "frame")):
            c = self.client(greet=False)
            c.send(data)
            self.refused(c, reason)

    def test_after_hello(self):
        for data, reason in (
                (wire.hello(), "frame"),
                (wire.frame(wire.PUSH, [(1, b"short")]), "frame"),
                (wire.frame(wire.RESULT, [(1, b"x" * 16)]), "frame"),
                (wire.frame(DRAIN, []), "frame"),
                (b"\0\0\0\x04\xff\xff\xff\xff", "frame")):
            c = self.client()
            c.send(data)
            self.refused(c, reason)

    def test_clock_skew(self):
        for off, told in ((0, 0), (1000, 0), (-3000, 1), (60000, 2)):
            c = self.client(greet=False)
            c.send(wire.hello(now_ms=int(time.time() * 1000) + off))
            c.until(wire.HELLO)
            c.send(wire.frame(wire.PING, [(1, 1)]))
            c.until(wire.PONG)
            c.close()
            self.assertEqual(self.lab.log().count("check NTP on both"), told,
                             off)

    def test_small_frames(self):
        """The peer says how much it takes."""
        c = self.client(greet=False)
        c.send(wire.hello(max_frame=100))
        c.until(wire.HELLO)
        c.send(wire.frame(wire.ENROL, [
            (1, b"e" * 16), (2, APP), (3, "apns"), (4, VOIP)]))
        until(lambda: "takes frames of 100 bytes only" in self.lab.log(),
              "too much for it")
        c.send(wire.frame(wire.PING, [(1, 5)]))
        kind, fields = c.frame()
        self.assertEqual((kind, fields[1]), (wire.PONG, 5))

    def test_window(self):
        self.lab.op("set", delay_ms=1500)
        c, other = self.client(), self.client()
        h = c.handle(VOIP, uses=[CALL])
        for _ in range(3):
            c.push(h)
        ident = c.push(h)
        for _ in range(3):
            c.push(h, ident=ident)
        self.outcome(c.result(ident), DUPLICATE)
        for _ in range(5):
            c.push(h)
        self.refused(c, "window")
        self.outcome(other.ask(h), DELIVERED)

    def test_no_hello(self):
        c = self.client(greet=False)
        self.refused(c, "frame")

    def test_ping(self):
        c = self.client()
        c.send(wire.frame(wire.PING, [(1, 77)]))
        pong = c.until(wire.PONG)
        self.assertEqual(pong[1], 77)
        self.assertLess(abs(pong[2] - 1000 * time.time()), 5000, "its clock")

    def test_too_many_of_a_tenant(self):
        keep = [self.client() for _ in range(3)]
        self.refused(self.client(greet=False), "connections")
        keep[0].close()
        until(lambda: "is gone" in self.lab.log(), "noticed")
        self.client()

    def test_unknown_tenant(self):
        c = self.client("tenant-other", greet=False)
        self.refused(c, "tenant")

    def test_strangers(self):
        for how in ({"name": None}, {"name": "sipis"},
                    {"version": ssl.TLSVersion.TLSv1_2}):
            with self.assertRaises((OSError, EOFError)):
                c = wire.Wire(self.lab.dir, port=self.lab.port, **how)
                self.addCleanup(c.close)
                c.send(wire.hello())
                c.frame()
        self.client()

    def test_crowd_before_login(self):
        import socket
        crowd = [socket.create_connection(("127.0.0.1", self.lab.port))
                 for _ in range(40)]
        self.client(source="127.0.0.2").close()
        for s in crowd:
            s.settimeout(10)
            try:
                self.assertEqual(s.recv(1), b"")
            except ConnectionError:
                pass
            s.close()
        self.client()
        self.assertGreater(self.lab.metric("mediator_rejected_total"), 0)

    def test_drain(self):
        """What is under way ends; peers are told; exit 0."""
        self.lab.op("set", delay_ms=400)
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        ident = c.push(h)
        self.lab.ctl.wait("apns", 1)
        self.lab.signal(signal.SIGTERM)
        seen = c.closed()
        kinds = [n for n, _ in seen]
        self.assertIn(DRAIN, kinds)
        results = [f for n, f in seen if n == wire.RESULT]
        self.assertEqual([(r[1], r[2]) for r in results], [(ident, DELIVERED)])
        self.assertEqual(self.lab.proc.wait(5), 0)

    def test_bystander(self):
        """A bad frame closes one connection only."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        bad = self.client()
        bad.send(os.urandom(64))
        self.assertTrue(bad.closed())
        self.outcome(c.ask(h), DELIVERED)


    def test_storm(self):
        """Connections that are cut off at every stage of their life, while
        another tenant's pushes go on."""
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        for n in range(300):
            self.cut_off(n % 6)
            if n % 20 == 0:
                self.outcome(c.ask(h), DELIVERED)
        until(lambda: self.lab.metric(
            'mediator_tenant_connections{tenant="demo"}') == 1, "the end of "
            "all others")

    def cut_off(self, stage):
        sock = socket.create_connection(("127.0.0.1", self.lab.port), 5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack("ii", 1, 0))
        try:
            if stage == 1:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            elif stage == 2:
                sock.sendall(self.first_flight()[:100])
            elif stage > 2:
                sock = self.tls().wrap_socket(
                    sock, server_hostname="localhost")
            if stage > 3:
                sock.sendall(wire.hello())
            if stage > 4:
                sock.recv(4096)
                sock.sendall(b"\xff" * 64)
        except OSError:
            pass
        sock.close()

    def tls(self):
        ctx = ssl.create_default_context(
            cafile=self.lab.path("mediator-ca.pem"))
        ctx.load_cert_chain(self.lab.path("tenant-demo.pem"),
                            self.lab.path("tenant-demo.key"))
        return ctx

    def first_flight(self):
        out = ssl.MemoryBIO()
        tls = self.tls().wrap_bio(
            ssl.MemoryBIO(), out, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        return out.read()


class Silence(Case):
    over = {"server.ping_ms": 500}

    def test_silent_peer(self):
        """Asked three times, then dead."""
        seen = self.client().closed()
        self.assertTrue(all(n == wire.PING for n, _ in seen), seen)
        self.logged("silent")

    def test_answering_peer(self):
        c = self.client()
        for _ in range(5):
            c.send(wire.frame(wire.PONG, [(1, c.until(wire.PING)[1])]))
        self.assertTrue(c.enrol(VOIP))


class Reload(Case):
    over = {"tenants": [{"name": "demo", "apps": [APP]},
                        {"name": "other", "apps": ["second"]}],
            "apps": [{"name": APP, "apns": {"credential": "apple",
                                            "topic": TOPIC}},
                     {"name": "second", "apns": {"credential": "apple",
                                                 "topic": TOPIC}}]}

    def reload(self, expect="new configuration"):
        seen = self.lab.log().count(expect)
        self.lab.write()
        self.lab.signal(signal.SIGHUP)
        until(lambda: self.lab.log().count(expect) > seen, expect)

    def test_tenants(self):
        demo, other = self.client(), self.client("tenant-other")
        h = demo.handle(VOIP, uses=[CALL])
        self.outcome(other.ask(h), NOT_ALLOWED)
        self.outcome(other.ask(other.handle(VOIP, uses=[CALL], app="second")),
                     DELIVERED)
        self.assertEqual(other.enrol(VOIP).get(2), NOT_ALLOWED)
        opened = self.lab.counters()["connections"]
        self.lab.set("tenants", [{"name": "demo", "apps": ["second"]}])
        self.reload()
        self.assertTrue(other.closed())
        self.outcome(demo.ask(h), NOT_ALLOWED)
        self.outcome(demo.ask(demo.handle(VOIP, uses=[CALL], app="second")),
                     DELIVERED)
        self.assertEqual(self.lab.counters()["connections"], opened,
                         "the connection to the provider stays")

    def test_bad_file(self):
        c = self.client()
        h = c.handle(VOIP, uses=[CALL])
        self.lab.set("tenants.0.apps", ["nothere"])
        self.reload("ALERT")
        self.logged("stays the old one")
        self.outcome(c.ask(h), DELIVERED)

    def test_any_address(self):
        """What only a restart can do is told."""
        self.lab.set("server.listen", [f"0.0.0.0:{self.lab.port}"])
        self.reload("ALERT")
        self.logged("this change needs a restart")
        self.client()

    def test_refused_whole(self):
        """A good file whose address is taken: not even its rights."""
        import socket
        demo, other = self.client(), self.client("tenant-other")
        h = demo.handle(VOIP, uses=[CALL])
        listen = self.lab.config["server"]["listen"]
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            self.lab.set("server.listen", listen + [
                "127.0.0.1:%d" % busy.getsockname()[1]])
            self.lab.set("tenants", [{"name": "demo", "apps": ["second"]}])
            self.reload("ALERT")
            self.outcome(demo.ask(h), DELIVERED)
            self.assertEqual(demo.enrol(VOIP, app="second").get(2),
                             NOT_ALLOWED)
            other.handle(VOIP, uses=[CALL], app="second")
        self.reload()
        self.outcome(demo.ask(h), NOT_ALLOWED)
        demo.handle(VOIP, uses=[CALL], app="second")

    def test_listen(self):
        port = next(PORTS)
        c = self.client()
        self.lab.set("server.listen", [f"127.0.0.1:{port}"])
        self.reload()
        with self.assertRaises(OSError):
            wire.Wire(self.lab.dir, port=self.lab.port)
        self.lab.port = port
        self.client()
        c.handle(VOIP, uses=[CALL])


class Config(unittest.TestCase):
    """--check-config: file, line, key, what is wrong, what would be right."""

    def setUp(self):
        self.lab = Lab(BUILD, start=False)
        self.addCleanup(self.lab.tmp.cleanup)

    def check(self, code, *words, args=("--check-config",)):
        out = subprocess.run(self.lab.argv(*args), capture_output=True,
                             text=True, timeout=30, check=False)
        text = out.stdout + out.stderr
        self.assertEqual(out.returncode, code, text)
        for w in words:
            self.assertIn(w, text)
        return text

    def with_(self, path, value, code, *words):
        before = json.dumps(self.lab.config)
        self.lab.set(path, value)
        self.lab.write()
        text = self.check(code, *words)
        if code == 78:
            self.assertRegex(text, r"mediator\.yaml:\d+: ")
        self.lab.config = json.loads(before)

    def file(self, name, text, mode=0o400):
        path = self.lab.path(name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def test_server_key_mode(self):
        self.lab.write()
        for mode, told in ((0o400, 0), (0o600, 0), (0o640, 1), (0o604, 1)):
            os.chmod(self.lab.path("mediator.key"), mode)
            self.assertEqual(self.check(0, "OK").count("chmod"), told, mode)

    def test_good(self):
        self.lab.write()
        self.check(0, "OK")
        self.assertFalse(os.path.exists(self.lab.path("state")))

    def test_options(self):
        self.check(0, "usage", args=("--help",))
        self.check(0, "mediator 0", args=("--version",))
        self.check(64, "usage", args=("--nonsense",))
        self.check(64, "not an option", args=("more",))

    def test_missing(self):
        self.check(66)
        self.lab.write()
        os.unlink(self.lab.config_path)
        self.check(66, args=())

    def test_values(self):
        for path, value, code, words in (
                ("surprise", 1, 78, ["surprise"]),
                ("limits", {"rate": 2000000}, 78, ["limits.rate", "1000000"]),
                ("server.window", 70000, 78, ["server.window"]),
                ("log_level", "loud", 78, ["log_level", "loud"]),
                ("server.listen", ["nowhere"], 78, ["listen", "nowhere"]),
                ("server.listen", ["127.0.0.1:99999"], 78, ["address:port"]),
                ("server.listen", ["127.0.0.1:"], 78, ["address:port"]),
                ("server.listen", ["[::1]:65536"], 78, ["address:port"]),
                ("server.listen", ["127.0.0.1:7", "[::1]:7", "127.0.0.1:7"],
                 78, ["server.listen[2]", "twice"]),
                ("admin.listen", "192.0.2.1:80", 78, ["127.0.0.1"]),
                ("admin.listen", "127.0.0.1:65616", 78, ["127.0.0.1"]),
                ("server.certificate", "/no.pem", 66, ["/no.pem"]),
                ("handle_key_file", "/no.key", 66, ["/no.key"]),
                ("old_handle_key_files", ["/no.key"], 66,
                 ["/no.key", "old_handle_key_files[0]"]),
                ("tenants", [], 78, ["tenants"]),
                ("tenants.0.name", "a b", 78, ["tenants[0].name"]),
                ("tenants.0.apps", ["x"], 78, ["\"x\"", "apps"]),
                ("apps.0.apns.credential", "pear", 78, ["pear"]),
                ("apps.0.apns.credential", "google", 78, ["google"]),
                ("apps.0.apns.topic", f"{TOPIC}.voip", 78, [".voip"]),
                ("apps.0", {"name": "x"}, 78, ["neither"]),
                ("credentials.0.apns.team_id", "abc", 78, ["team_id"]),
                ("credentials.0.apns.key_file", "/no.p8", 66, ["/no.p8"]),
                ("credentials.0.apns.production_url", "http://x", 78,
                 ["https"]),
                ("credentials.0.apns.production_url", "https://x/y", 78,
                 ["https"]),
                ("credentials.0.apns.link.streams", 9999999, 78, ["streams"]),
                ("credentials.1", {"name": "google"}, 78, ["no kind"]),
                ("apps.0.webpush.credential", "apple", 78, ["webpush"]),
                ("credentials.2.webpush.key_file", "/no.pem", 66,
                 ["/no.pem"]),
                ("credentials.2.webpush.subject", "push@example.com", 78,
                 ["mailto:"]),
                ("credentials.2.webpush.subject", "mailto:push@localhost", 78,
                 ["mailto:"]),
                ("credentials.2.webpush.subject", "mailto: <a@b.c>", 78,
                 ["mailto:"]),
                ("credentials.2.webpush.endpoints", ["a.b", "https://x"], 78,
                 ["endpoints[1]", "*.domain"]),
                ("credentials.2.webpush.endpoints", ["a.b", "*"], 78,
                 ["endpoints[1]", "private_addresses", "name the hosts"]),
                ("credentials.2.webpush.link.connections", 99, 78,
                 ["connections"])):
            with self.subTest(path=path, value=value):
                self.with_(path, value, code, *words)

    def test_twice(self):
        for path in ("tenants", "apps", "credentials"):
            with self.subTest(path=path):
                v = self.lab.config[path]
                self.with_(path, v + [v[0]], 78, "two " + path, v[0]["name"])

    def test_keys(self):
        rsa = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA",
                              "-pkeyopt", "rsa_keygen_bits:2048"],
                             capture_output=True, text=True,
                             check=True).stdout
        with open(self.lab.path("apns.p8"), encoding="ascii") as f:
            ec = f.read()
        with open(self.lab.path("fcm.json"), encoding="ascii") as f:
            account = json.load(f)
        p8, fcm = "credentials.0.apns.key_file", \
            "credentials.1.fcm.service_account_file"
        vapid = "credentials.2.webpush.key_file"
        for path, text, mode, code, words in (
                (p8, "nonsense\n", 0o400, 78, ["no private key"]),
                (p8, rsa, 0o400, 78, ["P-256"]),
                (p8, ec, 0o404, 77, ["chmod"]),
                (vapid, rsa, 0o400, 78, ["P-256"]),
                (vapid, ec, 0o404, 77, ["chmod"]),
                (fcm, "{", 0o400, 78, ["not JSON"]),
                (fcm, "{}", 0o400, 78, ["project_id"]),
                (fcm, json.dumps({**account, "private_key": ec}), 0o400, 78,
                 ["RSA"]),
                ("handle_key_file", "short", 0o400, 78, ["32 bytes"]),
                ("handle_key_file", "7" * 64, 0o404, 77, ["chmod"]),
                ("server.client_ca", "nonsense", 0o400, 78,
                 ["certificate"])):
            with self.subTest(path=path, words=words):
                f = self.file("bad" + os.urandom(4).hex(), text, mode)
                self.with_(path, f, code, f, *words)

    def test_example(self):
        """The example in the docs has every key right."""
        import yaml
        top = os.path.join(os.path.dirname(__file__), "../../..")
        with open(os.path.join(top, "docs/examples/mediator.yaml"),
                  encoding="ascii") as f:
            text = f.read()
        names = {"/etc/sipis/mediator-handle.key": "handle.key",
                 "/etc/sipis/mediator.crt": "mediator.pem",
                 "/etc/sipis/mediator.key": "mediator.key",
                 "/etc/sipis/tenants-ca.crt": "mediator-ca.pem",
                 "/etc/sipis/AuthKey_KEY1234567.p8": "apns.p8",
                 "/etc/sipis/firebase.json": "fcm.json",
                 "/etc/sipis/vapid.pem": "vapid.pem",
                 "/var/lib/mediator": "state"}
        for old, new in names.items():
            text = text.replace(old, self.lab.path(new))
        self.assertIn("tenants", yaml.safe_load(text))
        full = re.sub(r"(?m)^      # ", "      ", text).replace(
            "/etc/sipis/apple-ca.pem", self.lab.path("site-ca.pem"))
        for t in (text, full):
            with open(self.lab.config_path, "w", encoding="ascii") as f:
                f.write(t)
            self.check(0, "OK")


class Start(unittest.TestCase):
    def test_second_one(self):
        lab = Lab(BUILD, start=False)
        self.addCleanup(lab.close)
        lab.start()
        out = subprocess.run(lab.argv(), capture_output=True, text=True,
                             timeout=20, check=False)
        self.assertEqual(out.returncode, 75, out.stderr)
        self.assertIn("another mediator", out.stderr)
        lab.set("state_dir", lab.path("state2"))
        lab.write()
        out = subprocess.run(lab.argv(), capture_output=True, text=True,
                             timeout=20, check=False)
        self.assertEqual(out.returncode, 69, out.stderr)
        self.assertIn(str(lab.port), out.stderr)


if __name__ == "__main__":
    BUILD = os.path.abspath(sys.argv.pop(1))
    unittest.main()
