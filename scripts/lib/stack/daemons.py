"""sipis and the mediator: configuration, start, and the ways to ask them."""

import http.client
import json
import os
import ssl
import subprocess
import sys

from .config import yaml_text
from .proc import Proc


def binary(build, *path):
    return os.path.join(build, *path)


def merge(base, over):
    """over's keys win; mappings are merged, everything else replaced."""
    out = dict(base)
    for key, value in (over or {}).items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merge(out[key], value) if both else value
    return out


class Configured(Proc):
    """A daemon that reads one YAML file."""

    def __init__(self, name, program, folder, config, prefix=()):
        self.config = config
        self.config_path = os.path.join(folder, f"{name}.yaml")
        super().__init__(name, [program, "-c", self.config_path], folder,
                         prefix=prefix)

    def write_config(self):
        os.makedirs(self.folder, exist_ok=True)
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(yaml_text(self.config))

    def start(self, seconds=20):
        self.write_config()
        super().start()
        return self.wait_ready(self.answers, seconds)

    def answers(self):
        raise NotImplementedError


class Mediator(Configured):
    """With one tenant, "demo", and one app, "demo", at the fake's doors."""

    APP, TOPIC, TEAM, KEY_ID = "demo", "com.example.demo", "TEAMDEMO01", \
        "KEYDEMO001"

    def __init__(self, build, folder, certs, fake_port, port=24998,
                 admin_port=24990, address="127.0.0.1", name="mediator",
                 fake_address="localhost", over=None, prefix=()):
        self.address, self.port, self.admin_port = address, port, admin_port
        self.certs = certs
        self.fake_url = f"https://{fake_address}:{fake_port}"
        self.account_path = os.path.join(folder, f"{name}-fcm.json")
        link = {"ca": f"{certs}/provider-ca.pem"}
        config = {
            "node": name,
            "log_level": "info",
            "state_dir": os.path.join(folder, f"{name}-state"),
            "handle_key_file": f"{certs}/handle.key",
            "server": {
                "listen": [f"{address}:{port}"],
                "certificate": f"{certs}/mediator.pem",
                "key": f"{certs}/mediator.key",
                "client_ca": f"{certs}/mediator-ca.pem",
            },
            "admin": {"listen": f"127.0.0.1:{admin_port}"},
            "tenants": [{"name": "demo", "apps": [self.APP],
                         "limits": {"rate": 2000, "burst": 5000,
                                    "depth": 5000}}],
            "apps": [{"name": self.APP,
                      "apns": {"credential": "apple", "topic": self.TOPIC},
                      "fcm": {"credential": "google"},
                      "webpush": {"credential": "browsers"}}],
            "credentials": [
                {"name": "apple",
                 "apns": {"team_id": self.TEAM, "key_id": self.KEY_ID,
                          "key_file": f"{certs}/apns.p8",
                          "production_url": self.fake_url,
                          "sandbox_url": self.fake_url, "link": link}},
                {"name": "google",
                 "fcm": {"service_account_file": self.account_path,
                         "url": self.fake_url, "link": link}},
                {"name": "browsers",
                 "webpush": {"key_file": f"{certs}/vapid.pem",
                             "subject": "mailto:push@example.com",
                             "endpoints": [f"{fake_address}:{fake_port}"],
                             "private_addresses": True, "link": link}},
            ],
        }
        super().__init__(name, binary(build, "mediator", "mediator"), folder,
                         merge(config, over), prefix=prefix)

    def write_config(self):
        super().write_config()
        write_service_account(self.certs, self.account_path, self.fake_url)

    def answers(self):
        return http_get(f"127.0.0.1:{self.admin_port}", "/healthz",
                        self.prefix) == 200


def write_service_account(certs, path, fake_url):
    """Google's file, but tokens are to be had from the fake."""
    with open(f"{certs}/fcm.json", encoding="utf-8") as file:
        account = json.load(file)
    account["token_uri"] = f"{fake_url}/token"
    if os.path.exists(path):
        os.unlink(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(account, file, indent=2)


class Sipis(Configured):
    """With one PBX profile, "demo"."""

    def __init__(self, build, folder, certs, mediators, pbx_proxy,
                 domain="demo.test", address="127.0.0.1", api_port=8443,
                 admin_port=8480, transport="udp", sip_port=5070,
                 name="sipis", pbx=None, over=None, prefix=()):
        self.build, self.certs = build, certs
        self.address, self.api_port = address, api_port
        self.admin_port = admin_port
        profile = {
            "name": "demo",
            "domains": [domain],
            "outbound_proxy": pbx_proxy,
            "transport": transport,
            "local_address": address,
            "local_port": sip_port,
            "ca": f"{certs}/site-ca.pem" if transport == "tls" else None,
            "tls_name": "pbx.test" if transport == "tls" else None,
            "handover": "fork",
            "auto_180": "accepted",
            "refresh_s": 600,
            "wake_timeout_s": 15,
            "call_pushes_per_min": 6000,
        }
        config = {
            "node": name,
            "state_dir": os.path.join(folder, f"{name}-state"),
            "key_file": f"{certs}/store.key",
            "log_level": "info",
            "api": {
                "listen": [f"{address}:{api_port}"],
                "certificate": f"{certs}/sipis.pem",
                "key": f"{certs}/sipis.key",
                "requests_per_second": 10000,
                "creates_per_hour": 100000,
            },
            "admin": {"listen": f"127.0.0.1:{admin_port}"},
            "mediator": {
                "addresses": mediators,
                "name": "mediator.test",
                "ca": f"{certs}/mediator-ca.pem",
                "certificate": f"{certs}/tenant-demo.pem",
                "key": f"{certs}/tenant-demo.key",
            },
            "pbx": [merge(profile, pbx)],
        }
        super().__init__(name, binary(build, "sipis", "sipis"), folder,
                         merge(config, over), prefix=prefix)

    def answers(self):
        """Ready, and with a link to a mediator where one is to be had."""
        return self.api().get("/healthz")[0] == 200

    def api(self):
        return Api(self.address, self.api_port,
                   f"{self.certs}/site-ca.pem")

    def ctl(self, *args, check=True):
        """sipisctl's answer as JSON."""
        out = subprocess.run(
            self.prefix + [binary(self.build, "sipis", "sipisctl"), "--admin",
                           f"127.0.0.1:{self.admin_port}", "--json", *args],
            capture_output=True, text=True, timeout=20, check=False)
        if out.returncode:
            if check:
                raise RuntimeError(f"sipisctl {args}: {out.stderr.strip()}")
            return None
        return json.loads(out.stdout.splitlines()[0])

    def call(self, call):
        return self.ctl("call", call, check=False)

    def calls(self):
        return self.ctl("calls")["calls"]

    def account(self, user):
        for acct in self.ctl("status", f"{user}@")["accounts"]:
            name = acct["account"].removeprefix("sip:")
            if name.startswith(f"{user}@"):
                return acct
        return None

    def events(self, call):
        """What of each hop -> microseconds, the first of each kind."""
        found = {}
        for event in (self.call(call) or {}).get("events", []):
            found.setdefault((event["who"], event["what"]), event["at_us"])
        return found


class Api:
    """The app API; each call is (status, JSON or None)."""

    def __init__(self, address, port, ca, timeout=20):
        self.address, self.port, self.timeout = address, port, timeout
        self.context = ssl.create_default_context(cafile=ca)
        self.context.check_hostname = False
        self.conn = None

    def request(self, method, path, body=None, secret=None, headers=None,
                raw=None):
        if self.conn is None:
            self.conn = http.client.HTTPSConnection(
                self.address, self.port, context=self.context,
                timeout=self.timeout)
        head = dict(headers or {})
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            head.setdefault("Content-Type", "application/json")
        if secret:
            head["Authorization"] = f"Bearer {secret}"
        try:
            self.conn.request(method, path, data, head)
            answer = self.conn.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return 0, None
        if answer.will_close:
            self.close()
        try:
            return answer.status, json.loads(text) if text else None
        except ValueError:
            return answer.status, text

    def close(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def get(self, path, secret=None):
        return self.request("GET", path, secret=secret)

    def create(self, user, installation, token, domain="demo.test",
               password=None, platform="ios", app=Mediator.APP):
        """A phone that has no push for anything but calls."""
        push = {"use": ["call"], "provider": "apns", "token": token,
                "topic": f"{Mediator.TOPIC}.voip",
                "environment": "production"}
        if platform == "android":
            push = {"use": ["call", "ended"], "provider": "fcm",
                    "token": token}
        return self.request("POST", "/v1/instances", {
            "app": app, "installation": installation, "platform": platform,
            "push": [push],
            "account": {"aor": f"sip:{user}@{domain}", "auth_user": user,
                        "password": password or f"pw-{user}"}})

    def state(self, instance, secret, state, **more):
        return self.request("PUT", f"/v1/instances/{instance}/state",
                            {"state": state, **more}, secret=secret)


HTTP_GET = """
import http.client, sys
conn = http.client.HTTPConnection(sys.argv[1], timeout=2)
conn.request("GET", sys.argv[2])
print(conn.getresponse().status)
"""


def http_get(address, path, prefix=()):
    """Status of a plain GET, 0 without an answer; prefix runs it elsewhere."""
    out = subprocess.run(
        [*prefix, sys.executable, "-c", HTTP_GET, address, path],
        capture_output=True, text=True, check=False)
    return int(out.stdout or 0)
