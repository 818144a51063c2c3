"""The peer of "registrations": remote registrations of Kamailio's uac."""

import json
import os
import select
import socket
import time

from . import measure
from stack import Proc

COLUMNS = ("l_uuid(string) l_username(string) l_domain(string) "
           "r_username(string) r_domain(string) realm(string) "
           "auth_username(string) auth_password(string) auth_ha1(string) "
           "auth_proxy(string) expires(int) flags(int) reg_delay(int) "
           "contact_addr(string) socket(string)\n")

CONFIG = """#!KAMAILIO
debug=1
log_stderror=yes
children={children}
disable_tcp=yes
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=off
listen=udp:127.0.0.1:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib/kamailio/modules/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "jsonrpcs.so"
loadmodule "db_text.so"
loadmodule "uac.so"
modparam("tm", "wt_timer", {wt_timer})
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{folder}/rpc.sock")
modparam("uac", "restore_mode", "none")
modparam("uac", "reg_db_url", "text://{folder}/tables")
modparam("uac", "reg_contact_addr", "127.0.0.1:{port}")
modparam("uac", "reg_timer_interval", {interval})
modparam("uac", "reg_retry_interval", 30)
modparam("uac", "reg_hash_size", 16)
request_route {{ sl_send_reply("405", "No"); }}
"""

RCVBUF = 4 << 20     # -b: its default loses answers to a burst of 2,000

# Settings an operator would try.  pace: registrations started per second.
VARIANTS = {
    "fm-500": {"alloc": "fm", "pace": 500},
    "fm-500-wt1": {"alloc": "fm", "pace": 500, "wt_timer": 1000},
    "fm-500-i5": {"alloc": "fm", "pace": 500, "interval": 5},
    "fm-2000-wt1": {"alloc": "fm", "pace": 2000, "wt_timer": 1000},
    "tlsf-500-wt1": {"alloc": "tlsf", "pace": 500, "wt_timer": 1000},
    "qm-500": {"alloc": "qm", "pace": 500},
}
BEST = "fm-500-wt1"


class UacPeer(Proc):
    """One Kamailio whose accounts come in by RPC."""

    def __init__(self, folder, registrar_port, variant, accounts, port=5070):
        self.alloc = variant.get("alloc", "fm")
        self.pace = variant.get("pace", 500)
        self.interval = variant.get("interval", 1)
        self.wt_timer = variant.get("wt_timer", 5000)
        self.children = variant.get("children", 1)
        self.port, self.registrar_port = port, registrar_port
        self.rpc_path = os.path.join(folder, "rpc.sock")
        self.rpc = None
        shm = max(256, accounts * 20 // 1000)
        super().__init__("kamailio-uac", [
            "kamailio", "-DD", "-E", "-f", f"{folder}/uac.cfg",
            "-Y", folder, "-x", self.alloc, "-m", str(shm), "-M", "16",
            "-b", str(RCVBUF)], folder)

    def grant_for(self, period):
        """It refreshes once less than interval + 3 s are left."""
        return period + self.interval + 3

    def start(self, seconds=20):
        os.makedirs(f"{self.folder}/tables", exist_ok=True)
        with open(f"{self.folder}/tables/uacreg", "w",
                  encoding="ascii") as file:
            file.write(COLUMNS)
        with open(f"{self.folder}/tables/version", "w",
                  encoding="ascii") as file:
            file.write("table_name(string) table_version(int)\nuacreg:5\n")
        with open(f"{self.folder}/uac.cfg", "w", encoding="ascii") as file:
            file.write(CONFIG.format(
                children=self.children, port=self.port, folder=self.folder,
                wt_timer=self.wt_timer, interval=self.interval))
        super().start()
        self.wait_ready(lambda: os.path.exists(self.rpc_path), seconds)
        self.rpc = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.rpc.bind(f"{self.folder}/bench.sock")
        self.rpc.connect(self.rpc_path)
        self.rpc.settimeout(10)
        return self

    def call(self, method, params=()):
        self.rpc.send(json.dumps({"jsonrpc": "2.0", "method": method,
                                  "params": list(params), "id": 1}).encode())
        answer = json.loads(self.rpc.recv(65536))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer.get("result")

    def add(self, n):
        user = f"u{n}"
        self.call("uac.reg_add", [
            f"c{n:016x}", user, "bench.test", user, "bench.test",
            "bench.test", user, f"pw-{user}", ".",
            f"sip:127.0.0.1:{self.registrar_port}", 3600, 0, 0, ".", "."])

    def fill(self, accounts):
        """Paced, so that its start is no peak."""
        begin, done = time.monotonic(), 0
        while done < accounts:
            due = min(accounts, int((time.monotonic() - begin) * self.pace))
            while done < due:
                self.add(done)
                done += 1
            select.select([], [], [], 0.005)

    def pids(self):
        return measure.children(self.pid)
