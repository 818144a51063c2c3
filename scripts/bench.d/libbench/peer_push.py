"""The peer of "invite-to-push": Kamailio posts to the push service itself.

What an operator would build today: the INVITE is suspended, an async worker
posts with http_client over a connection that it keeps.  http_client cannot
add headers to a kept connection, so its requests carry no JWT and the fake
refuses them after its usual delay; that saves the peer work, not us.
"""

import os

from . import measure
from stack import Kamailio

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
modparam("http_client", "verify_peer", 1)
modparam("http_client", "cacert", "{ca}")
modparam("http_client", "connection_timeout", 4)
modparam("http_client", "httpcon", "push=>https://localhost:{push}/3/device")
modparam("tm", "fr_inv_timer", 30000)
request_route {{
	if (is_method("OPTIONS")) {{
		sl_send_reply("200", "OK");
		exit;
	}}
	if (is_method("ACK")) {{
		t_check_trans();
		exit;
	}}
	if (!is_method("INVITE")) {{
		sl_send_reply("405", "No");
		exit;
	}}
	if (t_precheck_trans()) {{
		t_check_trans();
		exit;
	}}
	t_check_trans();
	t_newtran();
	async_task_route("PUSH");
}}
route[PUSH] {{
	$var(token) = $(rU{{s.md5}}) + $(rU{{s.md5}});
	$var(body) = "{{\\"aps\\":{{}},\\"use\\":\\"call\\",\\"call\\":\\"" + $ci
		+ "\\",\\"from\\":\\"" + $fu + "\\"}}";
	http_connect("push", "/$var(token)", "application/json", "$var(body)",
		"$var(result)");
	t_reply("480", "Pushed");
}}
"""


class PushPeer(Kamailio):
    """One Kamailio with so many async workers."""

    def __init__(self, folder, certs, push_port, workers, port=5080):
        super().__init__(folder, certs, port=port, name=f"peer{workers}",
                         options=["-x", "fm"])
        self.workers, self.push_port = workers, push_port

    def head(self):
        return CONFIG.format(
            workers=self.workers, port=self.port, push=self.push_port,
            ca=os.path.join(self.certs, "provider-ca.pem"))

    def pids(self):
        return measure.children(self.pid)
