"""The fake push services and the demo phone (tests/fake/README.md)."""

import json
import os
import socket
import stat

from .daemons import Mediator, binary, write_service_account
from .proc import Proc, poll


def json_lines(path):
    """The whole lines of a log that is being written."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    whole = text[:text.rfind("\n") + 1].splitlines()
    return [json.loads(line) for line in whole if line.startswith("{")]


class FakePns(Proc):
    """APNs, FCM and Google's token endpoint on one port."""

    def __init__(self, build, folder, certs, port=8444, control=8445,
                 address="127.0.0.1", host="localhost", name="fake-pns",
                 options=(), prefix=()):
        self.control, self.port, self.address = control, port, address
        self.certs, self.url = certs, f"https://{host}:{port}"
        self.requests_path = os.path.join(folder, f"{name}.jsonl")
        self.account_path = os.path.join(folder, f"{name}-fcm.json")
        argv = [binary(build, "tests", "fake", "fake-pns"),
                "--listen", f"any={address}:{port}",
                "--cert", f"{certs}/provider.pem",
                "--key", f"{certs}/provider.key",
                "--control", f"127.0.0.1:{control}",
                "--log", self.requests_path,
                "--apns-key", f"{certs}/apns.pub",
                "--apns-key-id", Mediator.KEY_ID,
                "--apns-team", Mediator.TEAM,
                "--apns-topic", Mediator.TOPIC,
                "--fcm-service-account", self.account_path, *options]
        super().__init__(name, argv, folder, prefix=prefix)

    def start(self, seconds=10):
        os.makedirs(self.folder, exist_ok=True)
        write_service_account(self.certs, self.account_path, self.url)
        super().start()
        return self.wait_ready(lambda: '"ready"' in self.log(), seconds)

    def op(self, **what):
        """One request on a control connection of its own."""
        with socket.create_connection(("127.0.0.1", self.control), 30) as c:
            c.settimeout(60)
            c.sendall(json.dumps(what).encode() + b"\n")
            with c.makefile("r", encoding="utf-8") as file:
                answer = json.loads(file.readline())
        if not answer.get("ok"):
            raise RuntimeError(f"fake-pns: {what}: {answer.get('error')}")
        return answer

    def token(self, token, provider="apns", **more):
        if provider == "apns":
            more.setdefault("topic", f"{Mediator.TOPIC}.voip")
            more.setdefault("environment", "production")
        return self.op(op="token", provider=provider, token=token, **more)

    def requests(self, **match):
        return [line for line in json_lines(self.requests_path)
                if all(line.get(k) == v for k, v in match.items())]

    def counters(self):
        answer = self.op(op="counters")
        return answer.get("counters", answer)


class DemoPhone(Proc):
    """One app on one phone."""

    def __init__(self, build, folder, certs, api_port, fake_control, registrar,
                 user="100", domain="demo.test", platform="ios", token=None,
                 name="phone", address="127.0.0.1", options=(), prefix=()):
        self.user, self.token = user, token or hex_token(name)
        self.steps_path = os.path.join(folder, f"{name}.jsonl")
        self.instance_path = os.path.join(folder, f"{name}.instance")
        self.password_path = os.path.join(folder, f"{name}.password")
        self.password = f"pw-{user}"
        argv = [binary(build, "tests", "fake", "demo-phone"),
                "--api", f"https://{address}:{api_port}",
                "--ca", f"{certs}/site-ca.pem",
                "--app", Mediator.APP, "--platform", platform,
                "--aor", f"sip:{user}@{domain}", "--auth-user", user,
                "--password-file", self.password_path,
                "--installation", f"{name}-installation",
                "--token", self.token, "--topic", Mediator.TOPIC,
                "--project", "demo-project",
                "--pns", f"127.0.0.1:{fake_control}",
                "--sip-registrar", registrar,
                "--sip-ca", f"{certs}/site-ca.pem", "--sip-name", "pbx.test",
                "--instance", self.instance_path,
                "--log", self.steps_path, *options]
        super().__init__(name, argv, folder, prefix=prefix)

    def start(self, seconds=20):
        os.makedirs(self.folder, exist_ok=True)
        handle = os.open(self.password_path,
                         os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                         stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(self.password + "\n")
        super().start()
        return self.wait_ready(lambda: '"ready"' in self.log(), seconds)

    def tombstone(self, sipis, call):
        """What the API tells this phone's app of a call."""
        with open(self.instance_path, encoding="utf-8") as file:
            mine = json.load(file)
        status, answer = sipis.api().get(
            f"/v1/instances/{mine['instance']}/calls/{call}", mine["secret"])
        return answer.get("ended") if status == 200 else status

    def steps(self, step=None):
        return [line for line in json_lines(self.steps_path)
                if step is None or line.get("step") == step]

    def wait_step(self, step, seconds=20, count=1):
        poll(lambda: len(self.steps(step)) >= count, seconds,
             f'step "{step}" of {self.name} ({self.step_names()})')
        return self.steps(step)[count - 1]

    def step_names(self):
        return " ".join(line["step"] for line in self.steps())


def hex_token(name, length=32):
    """An APNs device token: 32 bytes in hex, the same for the same name;
    after a comma the one for alerts."""
    voip = name.encode().hex().rjust(2 * length, "0")[-2 * length:]
    alert = f"a{voip[1:]}"
    return f"{voip},{alert}"
