"""Debian 11's Asterisk 16 in its chroot, with chan_pjsip's defaults."""

import json
import os
import shutil
import socket
import subprocess

import harness
from stack import Proc
from stack.kamailio import options

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.path.join(HERE, "..", "..", "scripts", "pbx", "asterisk")
INSIDE = "/mnt"  # where the test's folder is seen in the chroot


def chroot_or_skip():
    """asterisk.sh's folder; where it cannot be had the test is skipped."""
    if os.geteuid() != 0 or not harness.real_root():
        harness.skip("Asterisk runs in a chroot, which needs root")
    out = subprocess.run([os.path.join(HERE, "asterisk.sh")],
                         stdout=subprocess.PIPE, text=True, check=False)
    if out.returncode:
        harness.skip("no Asterisk: tests/e2e/asterisk.sh said why")
    return out.stdout.strip()


class Asterisk(Proc):
    """users: list of numbers; aor: settings of their AORs."""

    def __init__(self, folder, certs, users=("100", "200"), port=5060,
                 tls_port=5061, address="127.0.0.1", trunk="127.0.0.9",
                 aor=None, endpoint=None, name="asterisk"):
        self.root = chroot_or_skip()
        self.address, self.port = address, port
        self.run = os.path.join(folder, "asterisk")
        self.words = {"RUN": f"{INSIDE}/asterisk", "ADDRESS": address,
                      "PORT": port, "TLS_PORT": tls_port, "TRUNK": trunk,
                      "CERTS": f"{INSIDE}/asterisk/keys"}
        self.certs = certs
        self.users = users
        self.aor = aor or {"max_contacts": 5}
        self.endpoint = endpoint or {}
        self.outside, self.mounted = folder, False
        super().__init__(name, [
            "chroot", self.root, "/usr/sbin/asterisk", "-f", "-n",
            "-C", f"{INSIDE}/asterisk/asterisk.conf"], folder)

    def extensions(self):
        blocks = []
        for user in self.users:
            more = "".join(f"{k} = {v}\n" for k, v in self.endpoint.items())
            aor = "".join(f"{k} = {v}\n" for k, v in self.aor.items())
            blocks.append(
                f"[{user}](phone)\nauth = {user}\naors = {user}\n{more}\n"
                f"[{user}](login)\nusername = {user}\n"
                f"password = pw-{user}\n\n"
                f"[{user}]\ntype = aor\n{aor}")
        return "\n".join(blocks)

    def write(self):
        for sub in ("run", "log", "db", "spool", "keys"):
            os.makedirs(os.path.join(self.run, sub), exist_ok=True)
        for kind in ("pem", "key"):
            shutil.copy(f"{self.certs}/pbx.{kind}",
                        f"{self.run}/keys/pbx.{kind}")
        words = dict(self.words, EXTENSIONS=self.extensions())
        for name in os.listdir(CONFIG):
            with open(os.path.join(CONFIG, name), encoding="utf-8") as file:
                text = file.read()
            for word, value in words.items():
                text = text.replace(f"@{word}@", str(value))
            with open(os.path.join(self.run, name), "w",
                      encoding="utf-8") as file:
                file.write(text)

    def start(self, seconds=60):
        self.write()
        if not self.mounted:
            subprocess.run(["mount", "--bind", self.outside,
                            self.root + INSIDE], check=True)
            self.mounted = True
        super().start()
        return self.wait_ready(self.answers, seconds, 0.2)

    def stop(self, seconds=10):
        code = super().stop(seconds)
        if self.mounted:
            subprocess.run(["umount", self.root + INSIDE], check=True)
            self.mounted = False
        return code

    def answers(self):
        if "fully booted" not in self.cli("core waitfullybooted"):
            return False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.5)
            try:
                sock.connect((self.address, self.port))
                me = sock.getsockname()
                sock.send(options(self.address, f"{me[0]}:{me[1]}"))
                return sock.recv(2048).startswith(b"SIP/2.0 ")
            except OSError:
                return False

    def cli(self, command):
        out = subprocess.run(
            ["chroot", self.root, "/usr/sbin/asterisk", "-C",
             f"{INSIDE}/asterisk/asterisk.conf", "-rx", command],
            capture_output=True, text=True, check=False, timeout=30)
        return out.stdout

    def contacts(self, user):
        """Contact URIs that are bound to the user now."""
        found = []
        for line in self.cli("database show registrar").splitlines():
            key, _, value = line.partition(": {")
            if key.strip().startswith(f"/registrar/contact/{user};"):
                found.append(json.loads("{" + value)["uri"])
        return found

    def version(self):
        return self.cli("core show version").strip()
