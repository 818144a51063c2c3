"""The app API and bad input: the right status with a problem document, and
nothing changed."""

import http.client
import json
import os
import re
import socket
import ssl
import threading
import urllib.request

from harness import check, check_equal, poll
from stack.fakes import hex_token

TOKEN = hex_token("badapi").split(",")[0]


def ready(lab):
    lab.kamailio()
    lab.daemons(over={"api": {"bad_secrets_per_min": 1000}})
    api = lab.sipis.api()
    status, answer = api.create("100", "phone-1", TOKEN)
    check_equal(status, 201, f"a good POST: {answer}")
    return api, answer["instance"], answer["secret"]


def problem(api, wanted, method, path, **how):
    status, answer = api.request(method, path, **how)
    check_equal(status, wanted, f"{method} {path} {how}: {answer}")
    check(isinstance(answer, dict) and answer.get("title") and
          answer.get("status") == wanted,
          f"a problem document: {answer}")


def body(**change):
    good = {"app": "demo", "installation": "i", "platform": "ios",
            "push": [{"use": ["call"], "provider": "apns", "token": TOKEN,
                      "topic": "com.example.demo.voip",
                      "environment": "production"}],
            "account": {"aor": "sip:101@demo.test", "auth_user": "101",
                        "password": "pw-101"}}
    good.update(change)
    return {k: v for k, v in good.items() if v is not None}


WRONG = {"aor": "sip:101@demo.test", "auth_user": "101", "password": "wrong"}


def create_from(address, lab, what):
    """(status, answer) of a create from this address."""
    tls = ssl.create_default_context(cafile=f"{lab.certs}/site-ca.pem")
    link = http.client.HTTPSConnection(
        "localhost", lab.sipis.api_port, timeout=10, context=tls,
        source_address=(address, 0))
    link.request("POST", "/v1/instances", json.dumps(what),
                 {"Content-Type": "application/json"})
    answer = link.getresponse()
    text = answer.read()
    link.close()
    return answer.status, json.loads(text)


def test_create(lab):
    api, _, _ = ready(lab)

    def post(wanted, **how):
        problem(api, wanted, "POST", "/v1/instances", **how)
    for raw in (b"", b"{", b"[]", b"null", b'"x"', b"{]", b"\xff\xfe",
                b'{"app": "demo"', b"{}" * 2, b'{"a":' * 3000):
        post(400, raw=raw)
    for change in ({"app": 7}, {"app": None}, {"push": {}}, {"push": [7]},
                   {"account": []}, {"platform": "palm"},
                   {"installation": ""}, {"installation": "x" * 5000},
                   {"unknown": 1},
                   {"account": {"aor": "sip:101@demo.test"}},
                   {"account": {"aor": "not a uri", "password": "x"}},
                   {"account": {"aor": "sip:101@demo.test",
                                "password": 12}}):
        status, answer = api.request("POST", "/v1/instances",
                                     body=body(**change))
        check(status in (400, 422), f"{change}: {status} {answer}")
    post(403, body=body(account={"aor": "sip:101@foreign.test",
                                 "password": "x"}))
    post(403, body=body(app="not-ours"))
    post(403, body=body(account=WRONG))
    post(413, raw=b'{"app": "' + b"x" * 20000 + b'"}')
    post(415, body=body(), headers={"Content-Type": "text/plain"})
    accounts = lab.sipis.ctl("status")["accounts"]
    check_equal(len(accounts), 1, f"accounts: {accounts}")
    check_equal(lab.pbx.contacts("101"), [], "bindings of what was refused")


def test_wrong_passwords(lab):
    """One host that mistypes blocks itself: others come in, and who has an
    account may change its password."""
    api, instance, secret = ready(lab)
    good = {"account": {"password": "pw-100"}}
    path = f"/v1/instances/{instance}"
    problem(api, 403, "POST", "/v1/instances", body=body(account=WRONG))
    problem(api, 429, "POST", "/v1/instances", body=body(account=WRONG))
    problem(api, 429, "POST", "/v1/instances", body=body())
    status, answer = create_from("127.0.0.2", lab, body(account=WRONG))
    check_equal(status, 403, f"the second host: {answer}")
    status, answer = create_from("127.0.0.3", lab, body())
    check_equal(status, 429, f"now the PBX has seen enough: {answer}")
    status, answer = api.request("PATCH", path, secret=secret, body=good)
    check_equal(status, 200, f"the owner's password: {answer}")
    problem(api, 403, "PATCH", path, secret=secret,
            body={"account": {"password": "wrong"}})
    problem(api, 429, "PATCH", path, secret=secret, body=good)


def test_others_come_in(lab):
    ready(lab)
    status, answer = create_from("127.0.0.2", lab, body(account=WRONG))
    check_equal(status, 403, f"a mistake: {answer}")
    status, answer = create_from("127.0.0.3", lab, body())
    check_equal(status, 201, f"a good create from another host: {answer}")


def test_secrets(lab):
    """Unknown id and wrong secret look the same."""
    api, instance, secret = ready(lab)
    seen = set()
    for name, key in ((instance, "x" * 43), ("0" * 32, secret),
                      ("0" * 32, "x" * 43), (instance, None),
                      ("../../etc/passwd", secret), (instance, "x" * 9000)):
        for method, path, more in (
                ("GET", "", {}), ("DELETE", "", {}),
                ("PATCH", "", {"body": {"label": "stolen"}}),
                ("PUT", "/state", {"body": {"state": "active"}})):
            status, answer = api.request(
                method, f"/v1/instances/{name}{path}", secret=key, **more)
            check(status in (401, 404, 431, 400), f"{name} {key}: {status}")
            if key and len(key) == 43 and "/" not in name:
                answer.pop("instance", None)
                answer.pop("trace", None)
                seen.add((method, status, json.dumps(answer)))
    check_equal(len(seen), 4, f"different answers: {seen}")
    status, answer = api.get(f"/v1/instances/{instance}", secret)
    check_equal(status, 200, "the instance is there")
    text = json.dumps(answer)
    check("pw-100" not in text and TOKEN not in text and
          "stolen" not in text, f"no secrets, no change: {text}")


def test_paths(lab):
    api, instance, secret = ready(lab)
    mine = f"/v1/instances/{instance}"
    for arg in ("../status", "..", ".", "/", "x/../../status"):
        check_equal(lab.sipis.ctl("call", arg, check=False), None,
                    f"sipisctl call {arg}")
    problem(api, 404, "GET", "/nothing")
    problem(api, 404, "GET", "/metrics")
    problem(api, 404, "GET", "/admin/status")
    problem(api, 405, "PUT", "/v1/instances", body={})
    problem(api, 405, "POST", mine, body={}, secret=secret)
    problem(api, 404, "GET", f"{mine}/calls/no-such-call", secret=secret)
    problem(api, 404, "POST", f"{mine}/calls/{'0' * 36}/decline",
            secret=secret)
    for state in ("asleep", 7, None, "expired", "gone"):
        status, _ = api.state(instance, secret, state)
        check(status in (400, 422), f"state {state}: {status}")
    for lease in (-1, "x", 1 << 40):
        status, _ = api.state(instance, secret, "active", lease=lease)
        check(status in (400, 422), f"lease {lease}: {status}")
    status, _ = api.request("GET", f"/{'x' * 9000}")
    check(status in (0, 400, 404, 414, 431), f"long path: {status}")


def https(lab, alpn=None):
    ctx = ssl.create_default_context(cafile=f"{lab.certs}/site-ca.pem")
    if alpn:
        ctx.set_alpn_protocols(alpn)
    raw = socket.create_connection(("127.0.0.1", lab.sipis.api_port), 5)
    return ctx.wrap_socket(raw, server_hostname="localhost")


def test_no_http2(lab):
    """Neither by ALPN, nor by upgrade, nor by its preface; no WebSocket."""
    ready(lab)
    with https(lab, ["h2", "http/1.1"]) as sock:
        check(sock.selected_alpn_protocol() != "h2", "ALPN h2")
    asks = (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, "
        b"HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP"
        b"__\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    for ask in asks:
        with https(lab) as sock:
            sock.settimeout(5)
            sock.sendall(ask)
            try:
                answer = sock.recv(4096)
            except OSError:
                answer = b""
            check(not answer.startswith(b"HTTP/1.1 101") and
                  not answer.startswith(b"\0\0"), f"{ask[:40]}: {answer}")
    check_equal(lab.sipis.api().get("/healthz")[0], 200, "health")


def exchange(lab, *asks, wanted=None):
    """What comes back for these bytes until the connection ends or so many
    answers are here; (answers, ended)."""
    with https(lab) as sock:
        sock.settimeout(5)
        text, ended = b"", False
        try:
            for ask in asks:
                sock.sendall(ask)
            while not ended and (wanted is None or
                                 text.count(READY) < wanted):
                more = sock.recv(65536)
                text, ended = text + more, not more
        except TimeoutError:
            pass
        except OSError:
            ended = True
    return text, ended


MORE = b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
HEALTH = b"GET /healthz" + MORE + b"\r\n"
READY = b'{"status":"ready"}'
CALL = b"/v1/instances/x/calls/y"


def test_no_page_of_lws(lab):
    """What the library would answer by itself is a problem document of ours,
    or nothing."""
    ready(lab)
    for ask, wanted in ((b"TRACE /" + MORE + b"\r\n", 501),
                        (b"BREW /healthz" + MORE + b"\r\n", 501),
                        (b"CONNECT x:1" + MORE + b"\r\n", 501),
                        (b"\1\2\3\r\n\r\n", 400),
                        (b"(){ :; }; x\r\n\r\n", 400),
                        (b"GET /%zz" + MORE + b"\r\n", None),
                        (b"OPTIONS *" + MORE + b"\r\n", None)):
        text, ended = exchange(lab, ask)
        check(ended, f"{ask[:20]}: the connection stays")
        if wanted is None:
            check_equal(text, b"", f"answer to {ask[:20]}")
            continue
        head, _, document = text.partition(b"\r\n\r\n")
        check(head.startswith(b"HTTP/1.1 %d " % wanted) and
              b"application/problem+json" in head and
              b"connection: close" in head, f"{ask[:20]}: {head}")
        check_equal(json.loads(document)["status"], wanted, f"{ask[:20]}")


def test_host(lab):
    """RFC 9112 3.2."""
    ready(lab)
    for ask, wanted in ((b"1.1\r\nHost: x\r\n", 200), (b"1.1\r\n", 400),
                        (b"1.1\r\nHost:\r\n", 400),
                        (b"1.1\r\nHost: x\r\nHost: y\r\n", 400),
                        (b"1.0\r\n", 200)):
        text, _ = exchange(lab, b"GET /healthz HTTP/" + ask +
                           b"Connection: close\r\n\r\n")
        check(text.startswith(b"HTTP/1.1 %d " % wanted) or
              text.startswith(b"HTTP/1.0 %d " % wanted), f"{ask}: {text}")


def test_pipelined(lab):
    """A second request right behind another: served, or the connection is
    closed; and nobody waits."""
    ready(lab)
    length = b"Content-Length: %d\r\n\r\n%b"
    for ask in (HEALTH, b"GET /nothing" + MORE + b"\r\n",
                b"HEAD /healthz" + MORE + b"\r\n",
                b"OPTIONS /healthz" + MORE + b"\r\n",
                b"POST " + CALL + b"/ringing" + MORE + length % (0, b""),
                b"PUT /v1/instances/x/state" + MORE + length % (0, b""),
                b"PUT /v1/instances/x/state" + MORE + length % (2, b"{}"),
                b"POST /nothing" + MORE + length % (5, b"hello"),
                b"DELETE /v1/instances/x" + MORE + length % (0, b"")):
        for asks in ((ask + HEALTH,), (ask, HEALTH),
                     (ask + HEALTH[:9], HEALTH[9:])):
            text, ended = exchange(lab, *asks,
                                   wanted=2 if ask == HEALTH else 1)
            check_equal((text.count(b"HTTP/1.1 "), ended), (2, False),
                        f"answers to {asks}: {text}")
            check(text.endswith(READY), f"{asks}: {text}")
    for ask, wanted in (
            (b"POST " + CALL + b"/ringing" + MORE + b"\r\n", 404),
            (b"POST " + CALL + b"/decline" + MORE + b"\r\n", 404),
            (b"POST /v1/instances" + MORE + b"\r\n", 411),
            (b"GET /healthz" + MORE + length % (2, b"{}"), 400)):
        text, ended = exchange(lab, ask + HEALTH)
        check_equal((text.count(b"HTTP/1.1 "), ended), (1, True),
                    f"answers to {ask}: {text}")
        check(text.startswith(b"HTTP/1.1 %d " % wanted) and
              b"connection: close" in text, f"{ask}: {text}")
    text, ended = exchange(lab, HEALTH * 200, wanted=200)
    check_equal((text.count(b"HTTP/1.1 200"), ended), (200, False),
                "answers to 200 at once")


def http_ticks(pid):
    """CPU time of the http thread."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as file:
            name, _, rest = file.read().partition(") ")
        if name.endswith("(http"):
            return sum(int(n) for n in rest.split()[11:13])
    raise AssertionError("no http thread")


def connections(lab):
    with urllib.request.urlopen(
            f"http://127.0.0.1:{lab.sipis.admin_port}/metrics") as answer:
        return int(re.search(r"^sipis_api_connections (\d+)$",
                             answer.read().decode(), re.M).group(1))


def test_behind_a_long_poll(lab):
    """Whoever sends more while his first request waits costs no CPU, and his
    end is seen."""
    lab.kamailio()
    lab.daemons("tcp")
    lab.fake.token(TOKEN)
    api = lab.sipis.api()
    _, made = api.create("100", "phone-1", TOKEN)
    instance, secret = made["instance"], made["secret"]
    api.state(instance, secret, "inactive")
    lab.wait_registered()
    lab.caller()
    poll(lambda: lab.fake.requests(use="call"), 10, "push")
    _, said = api.state(instance, secret, "active")
    more = f" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n\r\n"
    wait = (f"GET /v1/instances/{instance}/calls/{said['calls'][0]['call']}"
            f"?wait=%d{more}GET /healthz{more}")
    pid = lab.sipis.popen.pid
    before, others = http_ticks(pid), connections(lab)
    with https(lab) as sock:
        sock.settimeout(20)
        sock.sendall((wait % 3).encode())
        text = b""
        while text.count(b"HTTP/1.1 200") < 2:
            seen = sock.recv(65536)
            check(seen, f"closed after {text}")
            text += seen
    ticks = http_ticks(pid) - before
    check(ticks < 0.5 * os.sysconf("SC_CLK_TCK"),
          f"the http thread was busy for {ticks} ticks")
    poll(lambda: connections(lab) == others, 5, "end of that connection")
    with https(lab) as sock:
        sock.sendall((wait % 60).encode())
        poll(lambda: connections(lab) == others + 1, 5, "one connection more")
    poll(lambda: connections(lab) == others, 5, "its end")


def test_slow_clients(lab):
    """Those who send a byte now and then are cut off; others do not wait
    for them."""
    ready(lab)
    slow = []
    for _ in range(20):
        sock = https(lab)
        sock.settimeout(40)
        sock.sendall(b"POST /v1/instances HTTP/1.1\r\nHost: x\r\n"
                     b"Content-Type: application/json\r\n")
        slow.append(sock)
    status, _ = lab.sipis.api().get("/healthz")
    check_equal(status, 200, "an honest client meanwhile")
    ended = []

    def drip(sock):
        """A header line whenever it is quiet for a second."""
        sock.settimeout(1)
        try:
            while True:
                try:
                    if not sock.recv(4096):
                        break
                except TimeoutError:
                    sock.sendall(b"X-Slow: 1\r\n")
        except OSError:
            pass
        ended.append(sock)
    threads = [threading.Thread(target=drip, args=(s,), daemon=True)
               for s in slow]
    for thread in threads:
        thread.start()
    poll(lambda: len(ended) == len(slow), 30, "end of all slow clients", 0.2)


def test_too_many(lab):
    """More connections from one address than it may have."""
    lab.kamailio()
    lab.daemons(over={"api": {"connections_per_address": 8}})
    held = []
    refused = 0
    for _ in range(20):
        try:
            held.append(https(lab))
        except OSError:
            refused += 1
    for sock in held:
        sock.settimeout(5)
        try:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            if not sock.recv(100).startswith(b"HTTP/1.1 200"):
                refused += 1
        except OSError:
            refused += 1
    check_equal(refused, 12, "connections over the limit")
    for sock in held:
        sock.close()
    poll(lambda: lab.sipis.api().get("/healthz")[0] == 200, 5,
         "service once they are gone")
