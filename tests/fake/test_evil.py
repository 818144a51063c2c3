#!/usr/bin/python3
"""evil_registrar does what its behaviours are called.

usage: test_evil.py [unittest arguments]
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import evil_registrar                                   # noqa: E402
from evil_registrar import BEHAVIOURS, Message, params  # noqa: E402


class Client:
    """One account that registers by hand."""

    def __init__(self, reg, user="100", tcp=False):
        kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
        self.sock = socket.socket(socket.AF_INET, kind)
        self.sock.settimeout(2)
        self.sock.connect(("127.0.0.1", reg.port))
        self.user, self.cseq, self.tcp = user, 0, tcp
        self.call_id = os.urandom(6).hex()
        host, port = self.sock.getsockname()
        self.contact = f"<sip:{user}@{host}:{port}>"

    def close(self):
        self.sock.close()

    def send(self, expires=3600, headers=(), contact=True, repeat=False):
        if not repeat:
            self.cseq += 1
            self.branch = "z9hG4bK" + os.urandom(6).hex()
        host, port = self.sock.getsockname()
        lines = ["REGISTER sip:test SIP/2.0",
                 f"Via: SIP/2.0/{'TCP' if self.tcp else 'UDP'} {host}:{port}"
                 f";branch={self.branch};rport",
                 f"From: <sip:{self.user}@test>;tag=1",
                 f"To: <sip:{self.user}@test>", f"Call-ID: {self.call_id}",
                 f"CSeq: {self.cseq} REGISTER", "Max-Forwards: 70",
                 *headers]
        if contact:
            lines.append(f"Contact: {self.contact};expires={expires}")
        lines.append("Content-Length: 0")
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def answer(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            return b""
        return data

    def ask(self, **kw):
        self.send(**kw)
        return Message(self.answer())

    def credentials(self, challenge, password=None, alg=None):
        p = params(challenge)
        alg = alg or p.get("algorithm", "MD5")
        name = {"MD5": "md5", "SHA-256": "sha256"}[alg.replace("-sess", "")]

        def h(text):
            return hashlib.new(name, text.encode()).hexdigest()
        ha1 = h(f"{self.user}:{p['realm']}:{password or 'pw-' + self.user}")
        if alg.endswith("-sess"):
            ha1 = h(f"{ha1}:{p['nonce']}:c")
        text = (f'Authorization: Digest username="{self.user}", '
                f'realm="{p["realm"]}", nonce="{p["nonce"]}", '
                f'uri="sip:test", algorithm={alg}')
        ha2 = h("REGISTER:sip:test")
        if "qop" in p:
            text += ', qop=auth, nc=00000001, cnonce="c"'
            return text + ', response="' + h(
                f"{ha1}:{p['nonce']}:00000001:c:auth:{ha2}") + '"'
        return text + ', response="' + h(f"{ha1}:{p['nonce']}:{ha2}") + '"'

    def login(self, index=0, **kw):
        first = self.ask(**kw)
        found = (first.all("www-authenticate") +
                 first.all("proxy-authenticate"))[index]
        return self.ask(headers=[self.credentials(found)], **kw)


class Evil(unittest.TestCase):
    def setUp(self):
        self.reg = evil_registrar.Registrar().start()
        self.c = Client(self.reg)

    def tearDown(self):
        self.c.close()
        self.reg.stop()

    def test_there_are_enough(self):
        self.assertGreaterEqual(len(BEHAVIOURS), 25)

    def test_ok(self):
        got = self.c.login()
        self.assertEqual(got.status, 200)
        self.assertIn("expires=3600", got.get("contact"))
        a, b = self.reg.records("100")
        self.assertIsNone(a["auth"])
        self.assertEqual((a["answer"], b["answer"]), (401, 200))
        self.assertTrue(b["auth"]["valid"])
        self.assertEqual((b["auth"]["nc"], b["expires"]), (1, 3600))

    def test_wrong_password_is_seen(self):
        first = self.c.ask()
        bad = self.c.credentials(first.get("www-authenticate"), "x")
        self.assertEqual(self.c.ask(headers=[bad]).status, 401)
        self.assertFalse(self.reg.records()[1]["auth"]["valid"])

    def test_malformed_is_refused(self):
        self.reg.behave("noauth")
        self.assertEqual(self.c.ask(headers=["Max-Forwards: 70"]).status, 400)
        self.assertEqual(self.reg.records()[0]["malformed"],
                         "two max-forwards")

    def test_foreign_nonce_is_seen(self):
        challenge = 'Digest realm="test", nonce="mine", qop="auth"'
        got = self.c.ask(headers=[self.c.credentials(challenge)])
        self.assertEqual(got.status, 401)

    def test_algorithms(self):
        for name, index in (("sha256", 0), ("sha256_md5", 0),
                            ("sha256_md5", 1), ("md5_sha256", 1),
                            ("unknown_md5", 1), ("md5_sess", 0),
                            ("noqop", 0), ("noalg", 0), ("qop_list", 0),
                            ("proxy", 0), ("realm_quotes", 0)):
            self.reg.behave(name)
            self.assertEqual(self.c.login(index).status, 200, name)

    def test_retransmission_is_known_and_answered_alike(self):
        first = self.c.ask()
        again = self.c.ask(repeat=True)
        self.assertEqual(first.get("www-authenticate"),
                         again.get("www-authenticate"))
        self.assertEqual(self.reg.count(), 1)
        self.assertEqual(len(self.reg.records(repeats=True)), 2)

    def test_stale(self):
        self.reg.behave("stale")
        got = self.c.login()
        self.assertIn("stale=true", got.get("www-authenticate"))
        cred = self.c.credentials(got.get("www-authenticate"))
        self.assertEqual(self.c.ask(headers=[cred]).status, 200)

    def test_one_nonce_and_nextnonce(self):
        self.reg.behave("nextnonce")
        got = self.c.login()
        self.assertIn("nextnonce", got.get("authentication-info"))
        self.reg.behave("one_nonce")
        first = self.c.ask()
        cred = self.c.credentials(first.get("www-authenticate"))
        self.assertEqual(self.c.ask(headers=[cred]).status, 200)
        self.assertIn("stale=true", self.c.ask(headers=[cred]).get(
            "www-authenticate"))

    def test_queue(self):
        self.reg.behave("403")
        self.reg.then("503:7")
        self.reg.then("noauth")
        self.assertEqual(self.c.ask().get("retry-after"), "7")
        # the last one stays
        self.assertEqual([self.c.ask().status for _ in range(3)],
                         [200, 200, 200])

    def test_one_account_only(self):
        other = Client(self.reg, "200")
        self.reg.behave("noauth")
        self.reg.behave("404", "200")
        self.assertEqual(other.ask().status, 404)
        self.assertEqual(self.c.ask().status, 200)
        other.close()

    def test_auth_first(self):
        self.reg.behave("auth+423:7200")
        self.assertEqual(self.c.ask().status, 401)
        got = self.c.login()
        self.assertEqual((got.status, got.get("min-expires")), (423, "7200"))
        self.assertEqual(self.c.login(expires=7200).status, 200)

    def test_grants(self):
        for name, header, param in (("expires:4294967295", "", "4294967295"),
                                    ("expires_header:1", "1", None),
                                    ("expires_none", "", None),
                                    ("expires_both:60", "3600", "60")):
            self.reg.behave(name)
            got = self.c.ask()
            self.assertEqual(got.get("expires"), header, name)
            if param:
                self.assertIn(f"expires={param}", got.get("contact"))
            else:
                self.assertNotIn("expires", got.get("contact"))

    def test_look_and_unregister(self):
        self.reg.behave("noauth")
        self.c.ask()
        self.assertIn("sip:100@", self.c.ask(contact=False).get("contact"))
        self.c.ask(expires=0)
        self.assertEqual(self.c.ask(contact=False).get("contact"), "")

    def test_silence(self):
        self.reg.behave("silence")
        self.c.sock.settimeout(0.1)
        self.c.send()
        with self.assertRaises(TimeoutError):
            self.c.answer()
        self.assertEqual(self.reg.wait(1)[0]["answer"], 0)

    def test_connection_faults(self):
        for name in ("reset", "close"):
            tcp = Client(self.reg, tcp=True)
            self.reg.behave(name)
            tcp.send()
            self.assertEqual(tcp.answer(), b"")
            tcp.close()

    def test_every_behaviour_answers_over_tcp(self):
        for name in BEHAVIOURS:
            if name in ("silence", "reset", "close"):
                continue
            tcp = Client(self.reg, tcp=True)
            self.reg.behave(f"{name}:50" if name == "late" else name)
            tcp.send()
            self.assertTrue(tcp.answer(), name)
            tcp.close()

    def test_wait(self):
        with self.assertRaises(TimeoutError):
            self.reg.wait(1, 0.01)
        self.c.ask()
        self.assertEqual(len(self.reg.wait(1)), 1)

    def test_misspelt_behaviour(self):
        with self.assertRaises(ValueError):
            self.reg.behave("nosuch")

    def test_as_a_program(self):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                               "evil_registrar.py")
        with subprocess.Popen(
                [sys.executable, program, "--behaviour", "noauth"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True) as proc:
            ready = json.loads(proc.stdout.readline())

            class Port:
                port = ready["udp"]

            def say(line):
                proc.stdin.write(line + "\n")
                proc.stdin.flush()
                return json.loads(proc.stdout.readline())
            client = Client(Port)
            self.assertEqual(client.ask().status, 200)
            self.assertEqual(say("wait 1")["count"], 1)
            self.assertEqual(say("behave 404")["ok"], True)
            self.assertEqual(client.ask().status, 404)
            self.assertEqual(say("records 100")["records"][1]["answer"], 404)
            self.assertFalse(say("behave nosuch")["ok"])
            self.assertFalse(say("wait 9 0.01")["ok"])
            self.assertTrue(say("invite 100")["ok"])
            self.assertTrue(client.answer().startswith(b"INVITE sip:100@"))
            self.assertTrue(say("raw 100 0d0a")["ok"])
            self.assertEqual(client.answer(), b"\r\n")
            proc.stdin.write("quit\n")
            proc.stdin.close()
            self.assertEqual(proc.wait(5), 0)
            client.close()


if __name__ == "__main__":
    unittest.main()
