#!/usr/bin/python3
"""Holds a running sipis against docs/openapi.yaml.

    openapi_check.py --base https://127.0.0.1:8443 --ca FILE \\
        --admin http://127.0.0.1:8480 --aor sip:100@demo.test \\
        --password SECRET --app demo --token TOKEN [--topic TOPIC]

Each answer must have a status that the document knows for the operation, the
right content type and headers, and a body that fits the schema, which allows
no member it does not name.  What was answered with 2xx must itself have been
a body that the document allows.  A run by hand provokes what needs no power
over the rest of the world and lists the statuses it left out; the test
openapi.py has that power and must leave out none.
"""

import argparse
import http.client
import json
import os
import ssl
import sys
import urllib.parse

import yaml
from jsonschema import Draft202012Validator, RefResolver

HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = os.path.join(HERE, "..", "..", "docs", "openapi.yaml")
NOBODY = "0" * 31 + "1"
NO_CALL = "00000000-0000-4000-8000-000000000000"
WRONG = "x" * 43


class Spec:
    """The document, by operationId."""

    def __init__(self, path=SPEC):
        with open(path, encoding="utf-8") as file:
            self.doc = yaml.safe_load(file)
        Draft202012Validator.check_schema(
            {"$defs": self.doc["components"]["schemas"]})
        self.resolver = RefResolver("", self.doc)
        self.ops = {}
        for where, item in self.doc["paths"].items():
            for method, op in item.items():
                if method != "parameters":
                    self.ops[op["operationId"]] = (method.upper(), where, op)

    def deref(self, node):
        while "$ref" in node and len(node) == 1:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def errors(self, schema, value):
        validator = Draft202012Validator(schema, resolver=self.resolver)
        return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}"
                for e in validator.iter_errors(value)]

    def documented(self):
        return {(name, int(status)) for name, (_, _, op) in self.ops.items()
                for status in op["responses"]}


class Checker:
    def __init__(self, spec, base, ca, admin=None, timeout=60):
        self.spec, self.base, self.admin = spec, base, admin
        self.context = ssl.create_default_context(cafile=ca)
        self.context.check_hostname = False
        self.timeout = timeout
        self.seen, self.faults = set(), []

    def fault(self, text):
        if text not in self.faults:
            self.faults.append(text)

    def connect(self, admin):
        url = urllib.parse.urlsplit(self.admin if admin else self.base)
        if url.scheme == "http":
            return http.client.HTTPConnection(url.netloc,
                                              timeout=self.timeout)
        return http.client.HTTPSConnection(
            url.netloc, context=self.context, timeout=self.timeout)

    def call(self, name, path=None, query="", secret=None, body=None,
             raw=None, headers=None, admin=None, length=True):
        """One operation; (status, parsed body).  The answer is judged."""
        method, where, op = self.spec.ops[name]
        target = where.format(**(path or {})) + query
        if admin is None:
            admin = op.get("x-listener") == "admin"
        data = json.dumps(body).encode() if body is not None else raw
        head = dict(headers or {})
        if data and "Content-Type" not in head:
            head["Content-Type"] = "application/json"
        if secret:
            head["Authorization"] = f"Bearer {secret}"
        if length and "Transfer-Encoding" not in head and (
                data or method in ("POST", "PUT", "PATCH")):
            head["Content-Length"] = str(len(data or b""))

        conn = self.connect(admin)
        try:
            conn.putrequest(method, target, skip_accept_encoding=True)
            for key, value in head.items():
                conn.putheader(key, value)
            conn.endheaders(data if length else None)
            answer = conn.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as err:
            self.fault(f"{name} {head}: no answer: {err}")
            return 0, None
        finally:
            conn.close()
        return answer.status, self.judge(name, op, answer, text, body)

    def judge(self, name, op, answer, text, sent):
        status = answer.status
        response = op["responses"].get(str(status))
        if response is None:
            self.fault(f"{name}: undocumented status {status}: {text[:300]}")
            return None
        response = self.spec.deref(response)
        self.seen.add((name, status))
        for key, header in response.get("headers", {}).items():
            self.judge_header(f"{name} {status}", key, header,
                              answer.getheader(key))
        self.judge_sent(name, op, status, sent)
        return self.judge_body(f"{name} {status}", response, answer, text)

    def judge_header(self, what, key, header, value):
        schema = header["schema"]
        if value is None:
            if header.get("required"):
                self.fault(f"{what}: no {key}")
            return
        if schema.get("type") == "integer":
            value = int(value) if value.isdigit() else value
        for error in self.spec.errors(schema, value):
            self.fault(f"{what}: {key}: {error}")

    def judge_sent(self, name, op, status, sent):
        if sent is None or not 200 <= status < 300:
            return
        content = op["requestBody"]["content"]["application/json"]
        for error in self.spec.errors(content["schema"], sent):
            self.fault(f"{name}: {status} for a body that the document "
                       f"does not allow: {error}")

    def judge_body(self, what, response, answer, text):
        content = response.get("content")
        kind = (answer.getheader("Content-Type") or "").split(";")[0]
        if not content:
            if text or kind:
                self.fault(f"{what}: a body where none belongs: {text[:100]}")
            return None
        if kind not in content:
            self.fault(f"{what}: content type {kind!r}")
            return None
        if not kind.endswith("json"):
            return text.decode()
        try:
            value = json.loads(text)
        except ValueError as err:
            self.fault(f"{what}: {err}: {text[:200]}")
            return None
        for error in self.spec.errors(content[kind]["schema"], value):
            self.fault(f"{what}: {error}: {text[:400].decode()}")
        if kind == "application/problem+json" and \
                value.get("status") != answer.status:
            self.fault(f"{what}: the document says {value.get('status')}")
        return value

    def expect(self, wanted, name, **how):
        status, value = self.call(name, **how)
        if status != wanted:
            self.fault(f"{name} {how}: {status}, not {wanted}: {value}")
        return value

    def missing(self):
        return sorted(self.spec.documented() - self.seen)


class Phone:
    """What a request body is made of."""

    def __init__(self, aor, password, app, token, topic="",
                 environment="production"):
        self.aor, self.password, self.app = aor, password, app
        self.token, self.topic, self.environment = token, topic, environment

    def push(self):
        return {"use": ["call"], "provider": "apns", "token": self.token,
                "topic": self.topic, "environment": self.environment}

    def body(self, installation="openapi", **change):
        whole = {"app": self.app, "installation": installation,
                 "platform": "ios", "push": [self.push()],
                 "account": {"aor": self.aor, "password": self.password}}
        whole.update(change)
        return whole


def good(check, phone):
    """Every operation's way to 2xx; (instance, secret)."""
    made = check.expect(201, "create", body=phone.body(
        label="a phone", options={"push_after_exit": True,
                                  "push_enabled": True,
                                  "inactivity_timeout": 3600}))
    if not made:
        return None, None
    path, secret = {"id": made["instance"]}, made["secret"]

    again = check.expect(201, "create", body=phone.body())
    if again["instance"] != path["id"] or again["secret"] == secret:
        check.fault("the same installation must keep its id and get a new "
                    "secret")
    check.expect(404, "read", path=path, secret=secret)
    secret = again["secret"]
    for state in ("active", "inactive", "exited", "inactive"):
        check.expect(200, "tell", path=path, secret=secret,
                     body={"state": state})
    said = check.expect(200, "tell", path=path, secret=secret, body={
        "state": "active", "lease": 60, "contact": "sip:100@192.0.2.1",
        "registered": True, "call": NO_CALL})
    if said["state"] != "active" or said["calls"]:
        check.fault(f"tell: {said}")
    check.expect(200, "read", path=path, secret=secret)
    check.expect(200, "change", path=path, secret=secret,
                 body={"label": "renamed", "push": [phone.push()],
                       "options": {}})
    check.expect(200, "change", path=path, secret=secret, body={
        "account": {"password": phone.password}})
    new = check.expect(200, "change", path=path, secret=secret,
                       body={"new_secret": True})
    check.expect(404, "read", path=path, secret=secret)
    secret = new["secret"]
    check.expect(200, "read", path=path, secret=secret)
    check.expect(200, "health")
    return path["id"], secret


def figures(check, text):
    """Prometheus refuses a page on which a family or a series stands twice,
    or a series without its family's head."""
    heads, series = [], []
    for line in str(text).splitlines():
        if line.startswith("# TYPE "):
            heads.append(line.split()[2])
        elif not line.startswith("#"):
            series.append(line.rsplit(" ", 1)[0])
    for names in (heads, series):
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            check.fault(f"metrics: {', '.join(twice)} stands twice")
    for name in series:
        bare = name.split("{")[0]
        if bare not in heads and \
                bare.rsplit("_", 1)[0] not in heads:
            check.fault(f"metrics: {name} has no TYPE")
    if not series:
        check.fault(f"metrics: {text}")


def admin(check, phone):
    if not check.admin:
        return
    check.expect(200, "health", admin=True)
    figures(check, check.expect(200, "metrics"))
    user = phone.aor.split(":")[1]
    page = check.expect(200, "status", query="?filter=" +
                        urllib.parse.quote(user) + "&offset=0&max=10")
    if page and [a["account"] for a in page["accounts"]] != [phone.aor]:
        check.fault(f"status does not show {phone.aor}: {page}")
    check.expect(200, "calls")
    check.expect(200, "calls", query="?max=1")
    for name in ("status", "calls", "metrics"):
        check.expect(400, name, query="?nonsense=1")
        check.expect(417, name, headers={"Expect": "wonders"})
    check.expect(400, "status", query="?max=0")
    check.expect(404, "timeline", path={"which": NO_CALL})
    check.expect(400, "timeline", path={"which": NO_CALL}, query="?x=1")
    check.expect(417, "timeline", path={"which": NO_CALL},
                 headers={"Expect": "wonders"})


BEARER = ("read", "change", "remove", "tell", "call", "ringing", "decline")
BODIES = ("create", "change", "tell")
PROPER = {"create": {}, "change": {"label": "x"}, "tell": {"state": "active"}}


def spoilt(check, ident, secret):
    """400 to 422 of every operation."""
    path = {"id": ident, "call": NO_CALL}
    for name in BEARER:
        body = PROPER.get(name)
        check.expect(401, name, path=path, body=body)
        check.expect(404, name, path=path, body=body, secret=WRONG)
        check.expect(404, name, path=dict(path, id=NOBODY), body=body,
                     secret=secret)
    for name in ("call", "ringing", "decline"):
        check.expect(404, name, path=path, secret=secret)
    for name in ("read", "remove", "call", "ringing", "decline", "health"):
        check.expect(400, name, path=path, secret=secret, raw=b"{}")
        check.expect(417, name, path=path, secret=secret,
                     headers={"Expect": "wonders"})
    check.expect(400, "read", path=path, secret=secret, query="?x=1")
    for wait in ("-1", "61", "x", "1e1"):
        check.expect(400, "call", path=path, secret=secret,
                     query=f"?wait={wait}")
    for name in ("ringing", "decline"):
        check.expect(404, name, path=path, secret=secret, length=False)
        check.expect(411, name, path=path, secret=secret, raw=b"0\r\n\r\n",
                     headers={"Transfer-Encoding": "chunked"})
    for name in BODIES:
        spoilt_body(check, name, path, secret)


def spoilt_body(check, name, path, secret):
    def post(wanted, **how):
        check.expect(wanted, name, path=path, secret=secret, **how)

    for raw in (b"", b"{", b"[]", b"nul", b'{"a":1,"a":2}', b"\xff",
                b'{"a":"\xc0\x80"}', b'{"state":"active"}x',
                b"[" * 10000):
        post(400, raw=raw, headers={"Content-Type": "application/json"})
    for raw in (b"{}", b'{"unknown":1}', b'{"state":7}', b'{"push":[]}',
                b'{"push":[{}]}', b'{"label":"\\u0007"}',
                b'{"account":{"password":7}}', b'{"options":{"x":true}}'):
        post(422, raw=raw)
    post(411, length=False)
    post(411, headers={"Transfer-Encoding": "chunked"}, raw=b"2\r\n{}\r\n"
         b"0\r\n\r\n")
    post(413, raw=b" " * 16385)
    post(415, raw=b"{}", headers={"Content-Type": "text/plain"})
    post(417, body=PROPER[name], headers={"Expect": "wonders"})


def refused(check, phone, ident, secret):
    """403: by us, by the PBX, by the mediator."""
    path = {"id": ident}

    def account(**change):
        return phone.body(account={"aor": phone.aor,
                                   "password": phone.password, **change})
    check.expect(403, "create", body=account(aor="sip:x@foreign.example"))
    check.expect(403, "create", body=account(outbound_proxy="192.0.2.66"))
    check.expect(403, "create", body=account(outbound_proxy="demo.test:22"))
    check.expect(403, "create", body=phone.body(app="not-ours"))
    answer = check.expect(403, "create", body=account(password="wrong"))
    if not answer or answer.get("pbx", {}).get("status") not in (401, 403):
        check.fault(f"create: no word of the PBX in {answer}")
    check.expect(403, "change", path=path, secret=secret,
                 body={"account": {"password": "wrong"}})


def too_many(check, phone):
    made = []
    for n in range(15):
        answer = check.expect(201, "create", body=phone.body(f"phone {n}"))
        made.append((answer["instance"], answer["secret"]))
    check.expect(409, "create", body=phone.body("phone too many"))
    for ident, secret in made:
        check.expect(204, "remove", path={"id": ident}, secret=secret)


def paths(check):
    """What is not in the document at all, still with a problem document."""
    for method, target, wanted in (
            ("GET", "/", 404), ("GET", "/metrics", 404),
            ("GET", "/admin/status", 404), ("PUT", "/v1/instances", 405),
            ("POST", "/healthz", 405), ("OPTIONS", "/healthz", 405),
            ("TRACE", "/healthz", 501), ("BREW", "/", 501)):
        conn = check.connect(False)
        conn.request(method, target, headers={"Content-Length": "0"})
        answer = conn.getresponse()
        text = answer.read()
        conn.close()
        if answer.status != wanted:
            check.fault(f"{method} {target}: {answer.status}: {text[:200]}")
            continue
        schema = {"$ref": "#/components/schemas/Problem"}
        for error in check.spec.errors(schema, json.loads(text)):
            check.fault(f"{method} {target}: {error}")
        if wanted == 405 and not answer.getheader("Allow"):
            check.fault(f"{method} {target}: no Allow")
    head(check)


def head(check):
    """HEAD is GET without the body."""
    conn = check.connect(False)
    seen = []
    for method in ("GET", "HEAD", "GET"):
        conn.request(method, "/healthz")
        answer = conn.getresponse()
        seen.append((answer.status, answer.getheader("Content-Type"),
                     answer.getheader("Content-Length")))
        if (answer.read() == b"") != (method == "HEAD"):
            check.fault(f"{method} /healthz: the body is wrong")
    conn.close()
    if len(set(seen)) != 1:
        check.fault(f"HEAD is not like GET: {seen}")


def ordinary(check, phone):
    """All that needs nobody's help."""
    ident, secret = good(check, phone)
    if not ident:
        return
    admin(check, phone)
    spoilt(check, ident, secret)
    refused(check, phone, ident, secret)
    too_many(check, phone)
    paths(check)
    check.expect(204, "remove", path={"id": ident}, secret=secret)
    check.expect(404, "read", path={"id": ident}, secret=secret)


def main():
    parser = argparse.ArgumentParser()
    for name in ("base", "ca", "aor", "password", "app", "token"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--admin")
    parser.add_argument("--topic", default="")
    args = parser.parse_args()
    check = Checker(Spec(), args.base, args.ca, args.admin)
    ordinary(check, Phone(args.aor, args.password, args.app, args.token,
                          args.topic))
    for name, status in check.missing():
        print(f"left out: {name} {status}")
    for fault in check.faults:
        print(f"FAULT {fault}", file=sys.stderr)
    print(f"{len(check.seen)} of {len(check.spec.documented())} documented "
          f"answers seen, {len(check.faults)} faults")
    sys.exit(1 if check.faults else 0)


if __name__ == "__main__":
    main()
