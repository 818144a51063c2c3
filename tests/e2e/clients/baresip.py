"""baresip without a screen, told by its ctrl_tcp module what to do."""

import json
import os
import re
import select
import socket
import time

from stack import Proc, poll

from .trace import acks, bodies, on_hold

MODULES = "/usr/lib/baresip/modules"
CONTROL = 4444

CONFIG = """\
poll_method epoll
sip_listen 0.0.0.0:0
sip_cafile {ca}
call_local_timeout 120
call_max_calls 4
audio_player aubridge,none
audio_source aubridge,none
audio_alert aubridge,none
rtp_timeout 0
net_interface eth0
module_path {modules}
module g711.so
module aubridge.so
module srtp.so
module uuid.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
"""

REGISTERED = re.compile(r"(?m)^SIP/2.0 200 [^[]*?^CSeq: \d+ REGISTER")


class Baresip(Proc):
    """door: host:port of its outbound proxy; ends: what it saw happen."""

    KIND = "baresip"
    BY_ADDRESS = True  # it asks name servers, and no file

    def __init__(self, lab, seat, name, user="100", transport="tls",
                 door=None, srtp=False, domain="demo.test"):
        self.seat, self.user, self.domain = seat, user, domain
        self.transport, self.door, self.srtp = transport, door, srtp
        self.home = os.path.join(lab.folder, name)
        self.ca = f"{lab.certs}/site-ca.pem"
        self.sock, self.rest, self.events = None, b"", []
        self.seen = 0
        super().__init__(name, ["baresip", "-f", self.home, "-s"],
                         lab.folder, prefix=seat.prefix,
                         env={"HOME": self.home, "TERM": "dumb"})

    def account(self):
        media = ";mediaenc=srtp-mand" if self.srtp else ""
        return (f"<sip:{self.user}@{self.domain}>;auth_user={self.user}"
                f";auth_pass=pw-{self.user}"
                f';outbound="sip:{self.door};transport={self.transport}"'
                f";sipnat=outbound;regint=20;audio_codecs=pcma{media}\n")

    def start(self, seconds=20):
        os.makedirs(self.home, exist_ok=True)
        with open(f"{self.home}/config", "w", encoding="utf-8") as file:
            file.write(CONFIG.format(ca=self.ca, modules=MODULES,
                                     control=CONTROL))
        with open(f"{self.home}/accounts", "w", encoding="utf-8") as file:
            file.write(self.account())
        with open(f"{self.home}/contacts", "w", encoding="utf-8") as file:
            file.write("")
        super().start()
        return self.wait_ready(self.connects, seconds)

    # --- control: netstrings of JSON ---

    def connects(self):
        def dial():
            return socket.create_connection(("127.0.0.1", CONTROL), 1)
        try:
            self.sock = self.seat.inside(dial)
        except OSError:
            return False
        return True

    def tell(self, command, params=""):
        text = json.dumps({"command": command, "params": params}).encode()
        self.sock.sendall(b"%d:%s," % (len(text), text))

    def pump(self, seconds=0):
        while select.select([self.sock], [], [], seconds)[0]:
            data = self.sock.recv(65536)
            if not data:
                raise AssertionError(f"{self.name} ended\n{self.tail()}")
            self.rest += data
            seconds = 0
        while b":" in self.rest:
            size, rest = self.rest.split(b":", 1)
            if len(rest) <= int(size):
                return
            line = json.loads(rest[:int(size)].decode(errors="replace"))
            self.rest = rest[int(size) + 1:]
            if line.get("event"):
                self.events.append(line)

    def forget(self):
        """What follows is waited for anew."""
        self.pump()
        self.events.clear()

    def wait(self, kind, seconds=15, count=1):
        deadline = time.monotonic() + seconds
        while True:
            found = [e for e in self.events if e["type"] == kind]
            if len(found) >= count:
                return found[count - 1]
            left = deadline - time.monotonic()
            if left <= 0:
                seen = " ".join(e["type"] for e in self.events)
                raise AssertionError(f"{self.name}: no {kind} in {seconds} s, "
                                     f"but {seen}")
            self.pump(left)

    # --- what a user does ---

    def wait_registered(self, seconds=20):
        """Since the mark."""
        poll(lambda: self.registrations() > self.seen, seconds,
             f"registration of {self.name}", 0.05)

    def registrations(self):
        return len(REGISTERED.findall(self.log()))

    def mark(self):
        self.seen = self.registrations()

    def call(self, user):
        self.forget()
        self.tell("dial", f"sip:{user}@{self.domain}")

    def wait_incoming(self, seconds=15):
        return self.wait("CALL_INCOMING", seconds)

    def answer(self):
        self.tell("accept")

    def wait_up(self, seconds=15):
        self.wait("CALL_ESTABLISHED", seconds)

    def wait_down(self, seconds=15):
        self.wait("CALL_CLOSED", seconds)

    def hang_up(self):
        self.tell("hangup")

    def hold(self):
        self.tell("hold")

    def resume(self):
        self.tell("resume")

    def transfer(self, user):
        self.tell("transfer", f"sip:{user}@{self.domain}")

    def quiet(self):
        """No call is left from what went wrong before."""
        self.tell("hangup")
        self.tell("hangup")
        self.forget()

    # --- what stood on the wire ---

    def bodies(self):
        return bodies(self.log_path)

    def acks(self):
        return acks(self.log_path)

    def wait_hold(self, held, seconds=15):
        poll(lambda: on_hold(self.log_path) is held, seconds,
             f"{'hold' if held else 'end of hold'} at {self.name}")
