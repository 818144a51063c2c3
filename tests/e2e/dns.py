"""The PBX is found by its domain: NAPTR, SRV and A, with failover to the
next target when the first is dead."""

import concurrent.futures
import os
import re
import socket
import struct
import subprocess
import threading
import urllib.request

from harness import check, check_equal, poll

A, NAPTR, SRV = 1, 35, 33


def name(text):
    return b"".join(bytes([len(p)]) + p.encode()
                    for p in text.rstrip(".").split(".") if p) + b"\0"


def text(value):
    return bytes([len(value)]) + value.encode()


def naptr(order, service, target):
    return struct.pack(">HH", order, 10) + text("s") + text(service) + \
        text("") + name(target)


def srv(priority, port, target):
    return struct.pack(">HHH", priority, 10, port) + name(target)


class Dns(threading.Thread):
    """Answers from a table {(name, type): [rdata]}; NXDOMAIN otherwise."""

    def __init__(self, table, host="127.0.0.1"):
        super().__init__(daemon=True)
        self.table, self.silent, self.asked = table, False, []
        self.over = False
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, 53))

    def run(self):
        while not self.over:
            query, peer = self.sock.recvfrom(1500)
            if len(query) <= 12:
                continue
            answer = self.answer(query)
            if not self.silent:
                self.sock.sendto(answer, peer)

    def close(self):
        self.over = True
        self.sock.sendto(b"wake up", self.sock.getsockname())
        self.join()
        self.sock.close()

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        kind, = struct.unpack(">H", query[at + 1:at + 3])
        question = query[12:at + 5]
        self.asked.append((".".join(labels), kind))
        records = self.table.get((".".join(labels), kind), [])
        known = any(key[0] == ".".join(labels) for key in self.table)
        flags = 0x8580 if known else 0x8583
        out = query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
        out += question
        for data in records:
            out += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 5, len(data))
            out += data
        return out


HOME = socket.inet_aton("127.0.0.1")


def resolv_conf(lab, text):
    """The file behind /etc/resolv.conf, once resolver() has put it there."""
    path = os.path.join(lab.folder, "resolv.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def resolver(lab, table,
             said="nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"):
    """This namespace asks us."""
    path = resolv_conf(lab, said)
    subprocess.run(["mount", "--bind", path,
                    os.path.realpath("/etc/resolv.conf")], check=True)
    server = Dns(table)
    server.start()
    lab.at_end += [server.close, lambda: subprocess.run(
        ["umount", os.path.realpath("/etc/resolv.conf")], check=True)]
    return server


def start(lab, **more):
    lab.kamailio()
    lab.fake_pns()
    lab.add_mediator()
    lab.add_sipis("auto", pbx_proxy=None, over={}, **more)
    api = lab.sipis.api()
    status, answer = api.create("100", "phone-1", "ab" * 32)
    check_equal(status, 201, f"POST: {answer}")
    status, answer = api.state(answer["instance"], answer["secret"],
                               "inactive")
    check_equal(status, 200, f"inactive: {answer}")
    poll(lambda: lab.pbx.contacts("100"), 20, "registration")
    return lab.pbx.registers("100")[-1]


def test_srv_failover(lab):
    """The better target is dead; the next one gets the REGISTER."""
    dns = resolver(lab, {
        ("demo.test", NAPTR): [naptr(10, "SIP+D2T", "_sip._tcp.demo.test")],
        ("_sip._tcp.demo.test", SRV): [srv(10, 5099, "dead.demo.test"),
                                       srv(20, 5060, "live.demo.test")],
        ("dead.demo.test", A): [HOME], ("live.demo.test", A): [HOME]})
    register = start(lab)
    check_equal(register["proto"], "tcp", "the transport")
    check(("demo.test", NAPTR) in dns.asked, f"NAPTR asked: {dns.asked}")


def test_naptr_prefers_tls(lab):
    """SIPS+D2T leads to TLS, and the certificate must be the domain's."""
    resolver(lab, {
        ("demo.test", NAPTR): [naptr(10, "SIPS+D2T", "_sips._tcp.demo.test"),
                               naptr(20, "SIP+D2U", "_sip._udp.demo.test")],
        ("_sips._tcp.demo.test", SRV): [srv(10, 5061, "live.demo.test")],
        ("_sip._udp.demo.test", SRV): [srv(10, 5060, "live.demo.test")],
        ("live.demo.test", A): [HOME]})
    register = start(lab, pbx={"ca": f"{lab.certs}/site-ca.pem"})
    check_equal(register["proto"], "tls", "the transport")


def test_at_once(lab):
    """A phone is made before the PBX's address is known: that is waited
    for."""
    dns = resolver(lab, {
        ("_sip._udp.demo.test", SRV): [srv(10, 5060, "live.demo.test")],
        ("live.demo.test", A): [HOME]})
    dns.silent = True
    lab.kamailio()
    lab.fake_pns()
    lab.add_mediator()
    lab.add_sipis("auto", pbx_proxy=None, over={})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        made = pool.submit(lab.sipis.api().create, "100", "phone-1", "ab" * 32)
        poll(lambda: len(dns.asked) > 1, 10, "a question for the address")
        check(not made.done(), f"no answer yet: {made}")
        dns.silent = False
        status, answer = made.result(20)
    check_equal(status, 201, f"POST: {answer}")


def test_without_dns(lab):
    """The name servers fall silent: what runs goes on."""
    dns = resolver(lab, {
        ("_sip._udp.demo.test", SRV): [srv(10, 5060, "live.demo.test")],
        ("live.demo.test", A): [HOME]})
    start(lab)
    dns.silent = True
    lab.gives_up(lambda: lab.fake.requests(use="call"))
    check_equal(len(lab.fake.requests(use="call")), 1, "pushes")


def test_later(lab):
    """The name servers come after the start, as on a host whose network
    does: what was asked of nobody is asked of them."""
    mediators = "_sipis-mediator._tcp.demo.test"
    nobody = resolver(lab, {}, said="")
    nobody.silent = True
    server = Dns({
        ("demo.test", NAPTR): [naptr(10, "SIP+D2T", "_sip._tcp.demo.test")],
        ("_sip._tcp.demo.test", SRV): [srv(10, 5060, "live.demo.test")],
        (mediators, SRV): [srv(10, 24998, "live.demo.test")],
        ("live.demo.test", A): [HOME]}, host="127.0.0.2")
    server.start()
    lab.at_end.append(server.close)
    lab.kamailio()
    lab.fake_pns()
    mediator = lab.add_mediator()
    lab.add_sipis("auto", pbx_proxy=None, mediators=(mediators,))
    poll(lambda: {("demo.test", NAPTR), (mediators, SRV)} <=
         set(nobody.asked), 20, "questions that nobody answers")
    resolv_conf(lab, "nameserver 127.0.0.2\n")
    poll(lambda: (mediators, SRV) in server.asked, 20, "its mediators")
    poll(lambda: ("live.demo.test", A) in server.asked and
         ("_sip._tcp.demo.test", SRV) in server.asked, 20, "its PBX")
    poll(lambda: linked(mediator), 20, "a link")
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    check_equal(lab.pbx.registers("100")[-1]["proto"], "tcp", "the transport")


def metrics(part):
    with urllib.request.urlopen(
            f"http://127.0.0.1:{part.admin_port}/metrics") as answer:
        return answer.read().decode()


def linked(part):
    """Has this mediator a sipis?"""
    return 'mediator_tenant_connections{tenant="demo"} 1\n' in metrics(part)


def told(part):
    """What the alarms hear of: {mediator: connected}."""
    return {name: up == "1" for name, up in re.findall(
        r'^sipis_mediator_up\{mediator="([^"]*)"\} ([01])$', metrics(part),
        re.M)}


def test_mediators(lab):
    """One SRV name for all mediators; what it leads to changes."""
    where = ("_sipis-mediator._tcp.demo.test", SRV)
    hosts = [f"{x}.demo.test" for x in "abc"]
    table = {(host, A): [HOME] for host in hosts}
    table[where] = [srv(10, 24997, "dead.demo.test"),
                    srv(20, 24998, hosts[0]), srv(30, 24999, hosts[1])]
    dns = resolver(lab, table)
    lab.kamailio()
    lab.fake_pns()
    parts = [lab.add_mediator(), lab.add_mediator(
        name="mediator2", port=24999, admin_port=24991), lab.add_mediator(
            name="mediator3", port=25000, admin_port=24992)]
    lab.add_sipis(mediators=(where[0],), pbx={"wake_timeout_s": 2})
    poll(lambda: [linked(p) for p in parts] == [True, True, False], 20,
         "links to the first two")
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    lab.gives_up(lambda: len(lab.fake.requests(use="call", status=200)) == 1)

    dns.table[where] = [srv(10, 24999, hosts[1]), srv(20, 25000, hosts[2])]
    poll(lambda: [linked(p) for p in parts] == [False, True, True], 30,
         "links to the last two")
    poll(lambda: told(lab.sipis) == {f"{hosts[1]}:24999": True,
                                     f"{hosts[2]}:25000": True}, 10,
         f"no alarm for those that are gone: {told(lab.sipis)}")
    parts[0].kill()
    dns.silent = True
    lab.gives_up(lambda: len(lab.fake.requests(use="call", status=200)) == 2,
                 "push without DNS")
