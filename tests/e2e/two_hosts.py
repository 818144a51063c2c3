"""sipis and the mediator on two hosts: two network namespaces joined by a
veth pair, each with the one file of docs/TWO-HOSTS.md."""

import subprocess

from harness import check, check_equal, poll

SITE, VENDOR = "10.77.0.1", "10.77.0.2"


class Host:
    """A namespace that lives as long as the process that holds it."""

    def __init__(self):
        # the pipe is never written to: it closes with the test
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.prefix = ["nsenter", "--net",
                       f"--target={self.holder.pid}", "--"]

    def run(self, *argv):
        subprocess.run([*self.prefix, *argv], check=True)

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()


def cable(host):
    """site0 here, vendor0 there."""
    def ip(*argv):
        subprocess.run(["ip", *argv], check=True)
    ip("link", "add", "site0", "type", "veth", "peer", "name", "vendor0",
       "netns", str(host.holder.pid))
    ip("addr", "add", f"{SITE}/24", "dev", "site0")
    ip("link", "set", "site0", "up")
    host.run("ip", "addr", "add", f"{VENDOR}/24", "dev", "vendor0")
    host.run("ip", "link", "set", "vendor0", "up")
    host.run("ip", "link", "set", "lo", "up")


def test_two_hosts(lab):
    """The mediator alone on its host; everything else, and what stands for
    the internet, on this side of the cable."""
    host = Host()
    try:
        cable(host)
        lab.kamailio()
        lab.fake_pns(address=SITE, host=SITE)
        lab.add_mediator(address=VENDOR, fake_address=SITE,
                         prefix=host.prefix)
        lab.add_sipis(mediators=(f"{VENDOR}:24998",))
        phone = lab.phone()
        lab.wait_registered()
        caller = lab.caller(HOLD_MS=300)
        check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
        (outcome,) = caller.results().values()
        check("200" in outcome, f"the caller was answered: {outcome}")
        phone.wait_step("ended")
        (push,) = lab.fake.requests(use="call")
        poll(lambda: push["trace"] in lab.mediator.log(), 5,
             "line of the mediator")
        cable_cut(lab)
    finally:
        lab.close()
        host.close()


def cable_cut(lab):
    """Without the cable the caller hears so in time; with it again, calls
    are pushed again."""
    subprocess.run(["ip", "link", "set", "site0", "down"], check=True)
    caller = lab.caller("canceller.xml", CANCEL_MS=9000, REASON="")
    check_equal(caller.wait(20), 0, f"sipp's exit\n{caller.tail()}")
    (outcome,) = caller.results().values()
    check("480" in outcome and outcome["480"] - outcome["invite"] < 5,
          f"480 within 4 s: {outcome}")
    subprocess.run(["ip", "link", "set", "site0", "up"], check=True)
    known = len(lab.fake.requests(use="call"))

    def pushed():
        caller = lab.caller("canceller.xml", CANCEL_MS=300, REASON="")
        caller.wait(20)
        return len(lab.fake.requests(use="call")) > known
    poll(pushed, 30, "push over the mended cable")
