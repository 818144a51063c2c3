"""A Kamailio of one's own: every file in its folder, no privileges."""

import os
import re
import shutil
import socket
import ssl
import subprocess

from .proc import Proc

CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "..", "..", "pbx", "kamailio.cfg")
TABLES = "/usr/share/kamailio/dbtext/kamailio"


class Kamailio(Proc):
    """variant: plain, single (one binding per user), tsilo.  realm and secret
    (what stands before the user's name) are those of all but REGISTER."""

    def __init__(self, folder, certs=None, variant="tsilo", port=5060,
                 tls_port=None, address="127.0.0.1", domain="demo.test",
                 trunk="127.0.0.9", defines=(), name="kamailio",
                 config=CONFIG, options=(), prefix=(), qop=False, realm=None,
                 secret="pw-"):
        self.address, self.port, self.tls_port = address, port, tls_port
        self.domain = domain
        self.variant = variant
        self.certs = certs
        self.qop, self.realm, self.secret = qop, realm, secret
        self.trunk = trunk
        self.defines = set(defines)
        self.config = os.path.abspath(config)
        self.cfg_path = os.path.join(folder, f"{name}.cfg")
        argv = [shutil.which("kamailio", path=os.environ["PATH"] +
                             ":/usr/sbin:/usr/local/sbin") or "kamailio",
                "-f", self.cfg_path, "-DD", "-E", "-m", "64", "-M", "8",
                "-Y", folder, "-w", folder, *options]
        super().__init__(name, argv, folder, prefix=prefix)

    def head(self):
        host = bracketed(self.address)
        defines = set(self.defines)
        if self.variant == "tsilo":
            defines.add("WITH_TSILO")
        if self.tls_port:
            defines.add("WITH_TLS")
        flags = "0x04" if self.variant == "single" else "0x00"
        lines = ["#!KAMAILIO"]
        lines += [f"#!define {name}" for name in sorted(defines)]
        for name, value in (("DOMAIN", self.domain), ("RUN_DIR", self.folder),
                            ("TRUNK", self.trunk), ("OWN_HOST", self.address),
                            ("USRLOC_FLAGS", flags),
                            ("PBX_CERT", f"{self.certs}/pbx.pem"),
                            ("PBX_KEY", f"{self.certs}/pbx.key"),
                            ("ASKED_QOP", "1" if self.qop else "0"),
                            ("ASKED_REALM", self.realm or self.domain),
                            ("ASKED_SECRET", self.secret)):
            lines.append(f"#!substdef \"!{name}!{value}!g\"")
        lines += [f"listen=udp:{host}:{self.port}",
                  f"listen=tcp:{host}:{self.port}"]
        if self.tls_port:
            lines.append(f"listen=tls:{host}:{self.tls_port}")
        lines.append(f'include_file "{self.config}"')
        return "\n".join(lines) + "\n"

    def start(self, seconds=20):
        os.makedirs(self.folder, exist_ok=True)
        with open(self.cfg_path, "w", encoding="utf-8") as cfg:
            cfg.write(self.head())
        if "WITH_MEMORY" in self.defines:
            self.make_tables()
        super().start()
        return self.wait_ready(self.answers, seconds)

    def make_tables(self):
        """Empty ones, unless there are some from the last run."""
        folder = os.path.join(self.folder, "db")
        os.makedirs(folder, exist_ok=True)
        for table in ("version", "location", "location_attrs"):
            if not os.path.exists(os.path.join(folder, table)):
                shutil.copy(os.path.join(TABLES, table), folder)

    def answers(self):
        """An OPTIONS is answered, and TLS shakes hands."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            try:
                sock.connect((self.address, self.port))
                me = sock.getsockname()
                sock.send(options(self.domain,
                                  f"{bracketed(me[0])}:{me[1]}"))
                if not sock.recv(2048).startswith(b"SIP/2.0 200"):
                    return False
            except OSError:
                return False
        return not self.tls_port or self.shakes_hands()

    def shakes_hands(self):
        ctx = ssl.create_default_context(cafile=f"{self.certs}/site-ca.pem")
        try:
            with socket.create_connection(
                    (self.address, self.tls_port), 1) as sock:
                with ctx.wrap_socket(sock, server_hostname="pbx.test"):
                    return True
        except OSError:
            return False

    def rpc(self, *args):
        """kamcmd's answer as text; empty if the user is not there."""
        out = subprocess.run(
            ["kamcmd", "-s", f"unix:{self.folder}/kamailio.ctl", *args],
            capture_output=True, text=True, timeout=20, check=False)
        return out.stdout

    def contacts(self, user):
        """Contact URIs that are bound to the user now."""
        out = self.rpc("ul.lookup", "location", f"{user}@{self.domain}")
        if "Contacts" not in out:
            out = self.rpc("ul.lookup", "location", user)
        return re.findall(r"Address: (\S+)", out)

    def users(self):
        return set(re.findall(r"AoR: ([^@\s]+)", self.rpc("ul.dump")))

    def registers(self, user=None):
        """Each REGISTER that passed the login, from the log."""
        found = []
        for line in self.log().splitlines():
            if " REGISTERED " not in line:
                continue
            reg = dict(re.findall(r"(\w+)=(\S*)", line))
            if user is None or reg.get("user") == user:
                reg["cseq"] = int(reg["cseq"])
                found.append(reg)
        return found


def bracketed(address):
    return f"[{address}]" if ":" in address else address


def options(domain, via):
    """Some OPTIONS whose answer comes back to us."""
    return (f"OPTIONS sip:{domain} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {via};rport;branch=z9hG4bKready\r\n"
            "Max-Forwards: 1\r\n"
            "From: <sip:ready@localhost>;tag=1\r\n"
            f"To: <sip:{domain}>\r\n"
            "Call-ID: ready\r\nCSeq: 1 OPTIONS\r\n"
            "Content-Length: 0\r\n\r\n").encode()
