"""sipis and the mediator as the benches run them."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

from . import place
from stack import Mediator, Proc, Sipis
from stack.daemons import http_get, merge

DOMAIN = "bench.test"
GRANTS = (60, 7200)     # seconds; what a registrar grants is clamped
PERIOD = 0.8            # of the grant: where sipis refreshes


# As long as a sealed token, for stores whose phones are never woken.
NO_HANDLE = base64.urlsafe_b64encode(bytes(150)).rstrip(b"=").decode()


def write_accounts(path, count, handles=(NO_HANDLE,)):
    """Accounts u0, u1, ... for the import, a sleeping phone on each."""
    with open(path, "w", encoding="ascii") as file:
        for n in range(count):
            user = f"u{n}"
            line = {"pbx": "demo", "user": user, "domain": DOMAIN,
                    "password": f"pw-{user}",
                    "instances": [phone(user, handles[n % len(handles)])]}
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def phone(user, handle):
    return {"app": Mediator.APP, "installation": f"phone-of-{user}",
            "platform": "ios", "state": "inactive",
            "secret_sha256": hashlib.sha256(user.encode()).hexdigest(),
            "push": [{"use": ["call"], "provider": "apns",
                      "topic": f"{Mediator.TOPIC}.voip",
                      "environment": "production", "handle": handle}]}


class Ours(Sipis):
    """sipis with the bench's registrar as its PBX."""

    def __init__(self, folder, certs, registrar_port=5060, pbx=None,
                 over=None, name="sipis"):
        self.ready_s = None
        super().__init__(
            place.build_dir(), folder, certs, ["127.0.0.1:24998"],
            f"127.0.0.1:{registrar_port}", domain=DOMAIN, name=name,
            pbx=pbx, over=merge({"log_level": "warning"}, over))

    @property
    def state_dir(self):
        return self.config["state_dir"]

    def fill(self, accounts_path):
        """By the product's own import; returns its seconds."""
        self.write_config()
        begin = time.monotonic()
        done = subprocess.run(
            [*self.argv, "--import", accounts_path], capture_output=True,
            text=True, check=False)
        if done.returncode:
            sys.exit(f"bench: sipis --import ended with {done.returncode}: "
                     f"{done.stderr.strip()}")
        return time.monotonic() - begin

    def start(self, seconds=120):
        """ready_s: from the exec until /healthz says 200."""
        self.write_config()
        begin = time.monotonic()
        Proc.start(self)
        self.wait_ready(self.answers, seconds, every=0.005)
        self.ready_s = time.monotonic() - begin
        return self

    def answers(self):
        return http_get(f"127.0.0.1:{self.admin_port}", "/healthz") == 200

    def settings(self, pbx=None, over=None):
        """For the next start."""
        self.config = merge(self.config, over)
        self.config["pbx"] = [merge(self.config["pbx"][0], pbx)]

    def save_state(self, path):
        shutil.copytree(self.state_dir, path)

    def load_state(self, path):
        shutil.rmtree(self.state_dir, ignore_errors=True)
        shutil.copytree(path, self.state_dir)


def enrol(certs, count):
    """Handles of the tokens 0..count-1, sealed by the running mediator."""
    out = subprocess.run(
        [place.program("tests", "bench", "bench-enrol"),
         "--cert", f"{certs}/tenant-demo.pem",
         "--key", f"{certs}/tenant-demo.key",
         "--ca", f"{certs}/mediator-ca.pem", "--name", "mediator.test",
         "--app", Mediator.APP, "--topic", f"{Mediator.TOPIC}.voip",
         "--count", str(count)], capture_output=True, text=True, check=False)
    if out.returncode:
        sys.exit(f"bench: {out.stderr.strip()}")
    return out.stdout.split()
