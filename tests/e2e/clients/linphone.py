"""Linphone's core without a screen: linphone-daemon, told over its pipe."""

import os
import re
import socket
import uuid

from stack import DeadlineError, Proc, poll

from .trace import acks, bodies, on_hold

CONFIG = """\
[sip]
sip_port=-1
sip_tcp_port=-1
sip_tls_port=-1
use_ipv6=0
guess_hostname=1
root_ca={ca}
verify_server_certs=1
verify_server_cn=1
default_proxy=0
media_encryption={media}
media_encryption_mandatory={mandatory}
inc_timeout=120
session_expires_enabled=1
session_expires_value={refresh}
session_expires_min_value={refresh}
{sip}

[net]
mtu=1300
firewall_policy=none
dns_srv_enabled=0
dns_search_enabled=0

[rtp]
audio_rtp_port=7078-7178
nortp_timeout=3600

[sound]
echocancellation=0

[proxy_0]
reg_proxy=sip:{door};transport={transport}
reg_route=sip:{door};transport={transport};lr
reg_identity=sip:{user}@{domain}
reg_expires=30
reg_sendregister=1
publish=0
quality_reporting_enabled=0
{proxy}

[auth_info_0]
username={user}
userid={user}
passwd=pw-{user}
realm={domain}
domain={domain}
"""


class Linphone(Proc):
    """pn: parameters of its Contact, as its users write them."""

    KIND = "linphone"
    BY_ADDRESS = False  # it takes names alone in certificates

    def __init__(self, lab, seat, name, user="100", transport="tls",
                 door=None, srtp=False, domain="demo.test", pn="",
                 refresh=90):
        self.seat, self.user, self.domain = seat, user, domain
        self.transport = transport
        self.home = os.path.join(lab.folder, name)
        self.trace_path = os.path.join(lab.folder, f"{name}.trace")
        self.pipe = f"sipis-{uuid.uuid4()}"
        self.text = CONFIG.format(
            ca=f"{lab.certs}/site-ca.pem", user=user, domain=domain,
            transport=transport, door=door, refresh=refresh, sip="",
            media="srtp" if srtp else "none", mandatory=int(srtp),
            proxy=f"contact_uri_parameters={pn}" if pn else "")
        self.sock, self.events, self.seen, self.newest = None, [], 0, 0
        super().__init__(name, [
            "linphone-daemon", "--pipe", self.pipe,
            "--config", f"{self.home}/linphonerc",
            "--log", self.trace_path, "--disable-stats-events"],
            lab.folder, prefix=seat.prefix,
            env={"HOME": self.home, "TERM": "dumb"})

    def start(self, seconds=20):
        for folder in (".local/share/linphone", ".config/linphone"):
            os.makedirs(f"{self.home}/{folder}", exist_ok=True)
        with open(f"{self.home}/linphonerc", "w", encoding="utf-8") as file:
            file.write(self.text)
        super().start()
        return self.wait_ready(self.connects, seconds)

    def stop(self, seconds=3):
        code = super().stop(seconds)
        try:
            os.unlink(f"/tmp/{self.pipe}")
        except FileNotFoundError:
            pass
        return code

    def inner(self):
        """The process itself: nsenter becomes it."""
        return self.pid

    # --- control ---

    def connects(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(f"/tmp/{self.pipe}")
        except OSError:
            sock.close()
            return False
        sock.settimeout(10)
        self.sock = sock
        return True

    def tell(self, *words):
        self.sock.sendall((" ".join(words) + "\n").encode())
        return self.sock.recv(65536).decode(errors="replace")

    def pump(self):
        while True:
            text = self.tell("pop-event")
            fields = dict(re.findall(r"(?m)^([\w -]+): ?(.*)$", text))
            if "Event-type" not in fields:
                return
            self.events.append(fields)
            self.newest = max(self.newest, int(fields.get("Id", 0)))

    def forget(self):
        self.pump()
        self.events.clear()

    def wait(self, *states, seconds=15):
        """The first event of one of these kinds, LinphoneCall<state>."""
        wanted = {f"LinphoneCall{state}" for state in states}

        def found():
            self.pump()
            return [e for e in self.events if e.get("Event") in wanted]
        try:
            return poll(found, seconds, f"{states}", 0.05)[0]
        except DeadlineError:
            seen = " ".join(e.get("Event", "?") for e in self.events)
            raise AssertionError(f"{self.name}: no {states} in {seconds} s, "
                                 f"but {seen}") from None

    def registrations(self):
        try:
            with open(self.trace_path, encoding="utf-8",
                      errors="replace") as file:
                return file.read().count("to [LinphoneRegistrationOk]")
        except FileNotFoundError:   # its pipe may be there before its trace
            return 0

    # --- what a user does ---

    def wait_registered(self, seconds=20):
        """Since the mark."""
        poll(lambda: self.registrations() > self.seen, seconds,
             f"registration of {self.name}", 0.05)

    def mark(self):
        self.seen = self.registrations()

    def call(self, user):
        self.forget()
        answer = self.tell("call", f"sip:{user}@{self.domain}")
        if not answer.startswith("Status: Ok"):
            raise AssertionError(f"{self.name}: call {user}: {answer}")

    def wait_incoming(self, seconds=15):
        return self.wait("IncomingReceived", seconds=seconds)

    def last(self):
        """The id of the newest call."""
        self.pump()
        return str(self.newest)

    def answer(self):
        self.tell("answer", self.last())

    def wait_up(self, seconds=15):
        self.wait("StreamsRunning", "Connected", seconds=seconds)

    def wait_down(self, seconds=15):
        self.wait("End", "Error", "Released", seconds=seconds)

    def hang_up(self):
        self.tell("terminate", self.last())

    def hold(self):
        self.forget()
        self.tell("call-pause", self.last())

    def resume(self):
        self.wait("Paused")
        self.forget()
        self.tell("call-resume", self.last())

    def transfer(self, user):
        self.tell("call-transfer", self.last(), f"sip:{user}@{self.domain}")

    def transfer_to_call(self, first, second):
        """Attended: both are ids of calls of ours."""
        self.tell("call-transfer", first, second)

    def quiet(self):
        """No call is left from what went wrong before."""
        self.pump()
        for number in range(max(1, self.newest - 3), self.newest + 1):
            self.tell("terminate", str(number))
        self.forget()

    # --- what stood on the wire ---

    def bodies(self):
        return bodies(self.trace_path)

    def acks(self):
        return acks(self.trace_path)

    def wait_hold(self, held, seconds=15):
        poll(lambda: on_hold(self.trace_path) is held, seconds,
             f"{'hold' if held else 'end of hold'} at {self.name}", 0.05)
