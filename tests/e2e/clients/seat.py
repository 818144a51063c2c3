"""A place for a client: a network namespace with an address and a cable that
can be pulled.  All cables end at the site, which passes packets on from one
to the other, as the internet would."""

import ctypes

import subprocess

SITE = "10.77.0.1"
CLONE_NEWNET = 0x40000000


def ip(*argv):
    subprocess.run(["ip", *argv], check=True)


def bridge():
    """The site's end, once.  Its hardware address is fixed: else it would
    take the lowest of its ports, and a new cable would cut off the others
    until they ask again."""
    have = subprocess.run(["ip", "link", "show", "site"], check=False,
                          capture_output=True)
    if have.returncode == 0:
        return
    ip("link", "add", "site", "address", "02:00:00:00:00:01",
       "type", "bridge")
    ip("addr", "add", f"{SITE}/24", "dev", "site")
    ip("link", "set", "site", "up")


class Seat:
    """number: last part of the address, 10.77.0.<number>."""

    def __init__(self, number):
        bridge()
        self.address = f"10.77.0.{number}"
        self.cable = f"seat{number}"
        # the pipe is never written to: it closes with the test
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.prefix = ["nsenter", "--net", f"--target={self.holder.pid}",
                       "--"]
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0",
           "netns", str(self.holder.pid))
        ip("link", "set", self.cable, "master", "site")
        self.run("ip", "link", "set", "lo", "up")
        self.give(self.address)
        self.plug()

    def run(self, *argv):
        subprocess.run([*self.prefix, *argv], check=True)

    def give(self, address):
        self.address = address
        self.run("ip", "addr", "flush", "dev", "eth0")
        self.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "replace", "default", "via", SITE)

    def plug(self):
        ip("link", "set", self.cable, "up")

    def unplug(self):
        ip("link", "set", self.cable, "down")

    def inside(self, function):
        """Calls it in this network: sockets that it makes stay here."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net", "rb") as here, \
                open(f"/proc/{self.holder.pid}/ns/net", "rb") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return function()
            finally:
                libc.setns(here.fileno(), CLONE_NEWNET)

    def close(self):
        ip("link", "del", self.cable)
        self.holder.stdin.close()
        self.holder.wait()
