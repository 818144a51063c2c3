"""The peer of "invite-to-push": Kamailio that posts to the provider itself.

An INVITE gets its transaction, a worker of the async module posts, then the
call ends with 480, which is less than sipis has to do for it.  http_client
keeps connections only for those named by httpcon, and those take no headers:
no APNs.  So the provider here is a plain HTTPS server that asks for nothing
(tests/bench/sink.c), which puts the peer at its best.
"""

import os

from . import measure
from .place import program
from stack import Proc

CONFIG = """#!KAMAILIO
debug=1
log_stderror=yes
children=2
disable_tcp=yes
auto_aliases=no
dns=no
rev_dns=no
async_workers={workers}
listen=udp:127.0.0.1:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib/kamailio/modules/"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "async.so"
loadmodule "http_client.so"
modparam("http_client", "keep_connections", 1)
modparam("http_client", "cacert", "{certs}/provider-ca.pem")
modparam("http_client", "verify_peer", 1)
modparam("http_client", "connection_timeout", 10)
modparam("http_client", "httpcon", "push=>https://localhost:{sink}/")
request_route {{
	if (is_method("ACK")) {{
		t_check_trans();
		exit;
	}}
	if (!is_method("INVITE")) {{
		sl_send_reply("405", "No");
		exit;
	}}
	t_newtran();
	t_reply("100", "Trying");
	async_task_route("PUSH");
	exit;
}}
route[PUSH] {{
	http_connect("push", "$ci", "application/json",
		"{{\\"aps\\":{{}},\\"use\\":\\"call\\",\\"from\\":\\"$fu\\",\\"to\\":\\"$ru\\",\\"call\\":\\"$ci\\"}}",
		"$var(answer)");
	t_reply("480", "Temporarily Unavailable");
}}
"""

# Blocked workers are the limit: rate x delay of them wait at any time.
WORKERS = {0: (4, 8, 16), 50: (32, 64, 128)}


class Sink(Proc):
    """The provider."""

    def __init__(self, folder, certs, delay_ms, port=8444):
        self.port = port
        self.hits_path = os.path.join(folder, "sink.hits")
        super().__init__("sink", [
            program("tests", "bench", "bench-sink"), port,
            f"{certs}/provider.pem", f"{certs}/provider.key", delay_ms,
            self.hits_path], folder)

    def start(self, seconds=10):
        super().start()
        return self.wait_ready(lambda: '"ready"' in self.log(), seconds)

    def hits(self):
        """Call-ID -> when its request was complete, after stop()."""
        found = {}
        with open(self.hits_path, encoding="ascii") as file:
            for line in file:
                at_us, path = line.split()
                found.setdefault(path.lstrip("/"), int(at_us))
        return found


class PushPeer(Proc):
    """One Kamailio with so many async workers."""

    def __init__(self, folder, certs, workers, sink_port, port=5080):
        self.port, self.workers = port, workers
        self.cfg = os.path.join(folder, "push.cfg")
        self.text = CONFIG.format(workers=workers, port=port, certs=certs,
                                  sink=sink_port)
        super().__init__(f"kamailio-push-{workers}", [
            "kamailio", "-DD", "-E", "-f", self.cfg, "-Y", folder, "-x", "fm",
            "-m", "512", "-M", "16", "-b", str(4 << 20)], folder)

    def start(self, seconds=20):
        os.makedirs(self.folder, exist_ok=True)
        with open(self.cfg, "w", encoding="ascii") as file:
            file.write(self.text)
        super().start()
        want = self.workers + 4
        return self.wait_ready(lambda: len(self.pids()) >= want, seconds)

    def pids(self):
        return measure.children(self.pid)
