"""The peer of "edge": Kamailio as registrar and Record-Routing proxy.

It asks for digest (auth), keeps the bindings in memory (usrloc, db_mode 0),
runs every request through tm, and Record-Routes both ways.  It does less
than the edge: no credentials at rest, no registration at the PBX, no record
of a call that outlives it.
"""

import os

from . import measure
from stack import Proc

CONFIG = """#!KAMAILIO
debug=1
log_stderror=yes
children=1
{tcp}
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=off
{listen}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib/kamailio/modules/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
{tls}
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 14)
modparam("registrar", "max_contacts", 10)
modparam("registrar", "max_expires", 3600)
modparam("auth", "nonce_expire", 3600)
modparam("auth", "qop", "auth")
modparam("rr", "enable_full_lr", 1)
modparam("tm", "auto_inv_100", 1)
request_route {{
	if (!mf_process_maxfwd_header("70")) {{
		sl_send_reply("483", "Too Many Hops");
		exit;
	}}
	if (is_method("REGISTER")) {{
		if (!pv_www_authenticate("bench.test", "pw-$fU", "0")) {{
			www_challenge("bench.test", "1");
			exit;
		}}
		save("location");
		exit;
	}}
	if (has_totag()) {{
		if (loose_route()) {{
			t_relay();
			exit;
		}}
		if (is_method("ACK")) {{
			t_check_trans();
			exit;
		}}
		sl_send_reply("404", "Not here");
		exit;
	}}
	if (is_method("CANCEL")) {{
		if (t_check_trans()) t_relay();
		exit;
	}}
	t_check_trans();
	record_route();
	if ($si == "127.0.0.1" && $sp == 5060) {{
		if (!lookup("location")) {{
			sl_send_reply("404", "Not here");
			exit;
		}}
	}} else {{
		$du = "sip:127.0.0.1:5060";
		$fs = "udp:127.0.0.1:{port}";
	}}
	t_relay();
}}
"""

TCP = """tcp_children=1
tcp_max_connections=60000
tcp_connection_lifetime=3600
tcp_accept_no_cl=yes"""


class EdgePeer(Proc):
    """One worker for each transport in use."""

    def __init__(self, folder, certs, transport, port=5072):
        self.port = port
        self.cfg = os.path.join(folder, "edge.cfg")
        listen = [f"listen=udp:127.0.0.1:{port}"]
        tls = ""
        if transport != "udp":
            listen.append(f"listen={transport}:127.0.0.1:{port + 1}")
        if transport == "tls":
            tls = (f'loadmodule "tls.so"\n'
                   f'modparam("tls", "certificate", "{certs}/sipis.pem")\n'
                   f'modparam("tls", "tls_method", "TLSv1.2+")\n'
                   f'modparam("tls", "private_key", "{certs}/sipis.key")\n')
        tcp = "disable_tcp=yes" if transport == "udp" else TCP
        if transport == "tls":
            tcp += "\nenable_tls=yes"
        self.text = CONFIG.format(listen="\n".join(listen), port=port,
                                  tls=tls, tcp=tcp)
        super().__init__("kamailio-edge", [
            "kamailio", "-DD", "-E", "-f", self.cfg, "-Y", folder, "-x", "fm",
            "-m", "2048", "-M", "16", "-b", str(4 << 20)], folder)

    def start(self, seconds=20):
        os.makedirs(self.folder, exist_ok=True)
        with open(self.cfg, "w", encoding="ascii") as file:
            file.write(self.text)
        super().start()
        return self.wait_ready(lambda: len(self.pids()) >= 3, seconds)

    def pids(self):
        return measure.children(self.pid)
