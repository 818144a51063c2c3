"""Softphones that know nothing of sipis, at its edge: client x transport x
scenario.  Each test is one client on one transport; its scenarios go one after
the other, and what came of each is left in clients/<test>.json for
scripts/clients, which makes the table of docs/CLIENTS.md of it."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import traceback
import urllib.request

from clients import SITE, Baresip, Linphone, Seat, SippPhone
from clients.seat import bridge
from clients.trace import on_hold
from handphone import SDP, HandPhone
from harness import BUILD, check, check_equal, poll, skip
from stack import DeadlineError

PORTS = {"udp": 5072, "tcp": 5072, "tls": 5071}
NAME = "pbx.test"  # that of the certificate
PUSH = {"push": [{"app": "demo", "apns": "TEAMDEMO01.com.example.demo"}]}


def names(lab):
    """What the system answers to those who ask it for an address; the mounts
    are the test's own."""
    for name, text in (("hosts", f"127.0.0.1 localhost\n{SITE} {NAME}\n"),
                       ("resolv.conf", "nameserver 127.0.0.1\n")):
        path = os.path.join(lab.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run(["mount", "--bind", path, f"/etc/{name}"], check=True)
        lab.at_end.append(lambda name=name: subprocess.run(
            ["umount", f"/etc/{name}"], check=True))


class World:
    """PBX, sipis, the client, and two desk phones at the PBX itself."""

    def __init__(self, lab, kind, transport, asked=False, gruu=False):
        self.lab, self.kind, self.transport = lab, kind, transport
        self.asked = asked  # by sipis, what the PBX asks within dialogs too
        self.gruu = gruu  # the PBX gives them, to the desk phones as well
        self.numbers = iter(range(10, 200))
        self.host = SITE if kind.BY_ADDRESS else NAME
        self.phone = self.desk = self.other = None

    def open(self):
        lab = self.lab
        lab.host = SITE
        names(lab)
        bridge()
        lab.kamailio("plain", defines=[word for word, is_on in (
            ("WITH_ASKING", self.asked), ("WITH_GRUU", self.gruu)) if is_on])
        over = {"edge": {"listen": [f"tls:{SITE}:5071", f"tcp:{SITE}:5072",
                                    f"udp:{SITE}:5072"],
                         "host": self.host,
                         "certificate": f"{lab.certs}/pbx.pem",
                         "key": f"{lab.certs}/pbx.key", **PUSH}}
        lab.daemons(self.transport, over=over, sip_port=5080,
                    pbx={"mode": "continuous", **self.certificate(),
                         "challenges": "answer" if self.asked else "pass"})
        if self.kind is SippPhone:
            self.known("140")
        else:
            self.known("100")
            self.phone = self.at_edge("phone")
        self.desk = self.at_pbx("desk", "300")
        self.other = self.at_pbx("other", "301")
        return self

    def certificate(self):
        """The PBX opens connections of its own to our Record-Route."""
        if self.transport != "tls":
            return {}
        return {"certificate": f"{self.lab.certs}/pbx.pem",
                "key": f"{self.lab.certs}/pbx.key"}

    def known(self, user):
        """The account comes first; its app never wakes."""
        lab, token = self.lab, user.encode().hex().rjust(64, "0")
        lab.fake.token(token)
        status, answer = lab.sipis.api().create(user, f"first-{user}", token)
        check_equal(status, 201, f"creation of {user}: {answer}")
        lab.wait_registered(user)

    def seat(self):
        seat = Seat(next(self.numbers))
        self.lab.at_end.append(seat.close)
        return seat

    def at_edge(self, name, user="100", **more):
        return self.lab.add(self.kind(
            self.lab, self.seat(), name, user, self.transport,
            f"{self.host}:{PORTS[self.transport]}", **more)).start()

    def at_pbx(self, name, user, kind=Baresip, **more):
        """Over UDP: what is tried is the way to the phone."""
        phone = self.lab.add(kind(
            self.lab, self.seat(), name, user, "udp",
            self.lab.door("udp"), **more)).start()
        phone.wait_registered()
        return phone

    def hand(self, user):
        """A phone by hand, at the PBX."""
        phone = HandPhone((SITE, 5060), user, "udp", name=f"hand{user}",
                          address="127.0.0.7")
        self.lab.at_end.append(phone.close)
        check_equal(phone.register().status, 200, f"REGISTER of {user}")
        return phone


def ends(*phones):
    for phone in phones:
        phone.wait_down()


def take(caller, called, user):
    """A call that is up: a client says so when it has answered, but it is when
    the answer was heard."""
    called.forget()
    acks = called.acks()
    caller.call(user)
    called.wait_incoming()
    called.answer()
    called.wait_up()
    caller.wait_up()
    poll(lambda: called.acks() > acks, 15, f"ACK at {called.name}")


def register(world):
    world.phone.wait_registered()


def incoming(world):
    take(world.desk, world.phone, "100")
    world.desk.hang_up()
    ends(world.phone, world.desk)


def outgoing(world):
    take(world.phone, world.desk, "300")
    world.phone.hang_up()
    ends(world.phone, world.desk)


def hold(world):
    phone, desk = world.phone, world.desk
    take(desk, phone, "100")
    for one, two in ((phone, desk), (desk, phone)):
        one.hold()
        two.wait_hold(True)
        one.resume()
        two.wait_hold(False)
    phone.hang_up()
    ends(phone, desk)


def transfer(world):
    """The phone sends the one it speaks with on to another."""
    phone, desk, other = world.phone, world.desk, world.other
    take(phone, desk, "300")
    other.forget()
    desk.forget()
    phone.transfer("301")
    other.wait_incoming()
    other.answer()
    other.wait_up()
    desk.wait_up()
    phone.wait_down()
    desk.quiet()
    other.wait_down()


def transferred(world):
    """The phone is sent on to another."""
    phone, desk, other = world.phone, world.desk, world.other
    take(desk, phone, "100")
    other.forget()
    phone.forget()
    desk.transfer("301")
    other.wait_incoming()
    other.answer()
    other.wait_up()
    phone.wait_up()
    desk.quiet()
    other.hang_up()
    phone.wait_down()


def refresh(world):
    """The other side refreshes the session, by re-INVITE and by UPDATE."""
    hand = world.hand("310")
    world.phone.call("310")
    invite = hand.wait_request("INVITE")
    hand.reply(invite, 180, "Ringing")
    hand.reply(invite, 200, body=SDP)
    hand.wait_request("ACK")
    world.phone.wait_up()
    extra = "Session-Expires: 90;refresher=uac\r\nSupported: timer\r\n"
    for cseq in range(1, 9, 2):
        hand.in_dialog(invite, "INVITE", cseq, body=SDP, extra=extra)
        check_equal(hand.wait_final("INVITE").status, 200, "re-INVITE")
        hand.in_dialog(invite, "ACK", cseq)
    world.phone.hang_up()
    hand.reply(hand.wait_request("BYE"), 200)
    world.phone.wait_down()


def happens(cond, seconds):
    try:
        return poll(cond, seconds, "such thing")
    except DeadlineError:
        return False


def network(world):
    """The cable is pulled in a call and put back: the call goes on, it ends
    at both sides, and the next call comes."""
    phone, desk = world.phone, world.desk
    take(desk, phone, "100")
    phone.seat.unplug()
    desk.hold()
    check(not happens(lambda: on_hold(desk.log_path), 2),
          "no answer while the cable is out")
    phone.seat.plug()
    phone.wait_hold(True, 30)
    desk.resume()
    phone.wait_hold(False, 30)
    desk.hang_up()
    ends(phone, desk)
    incoming(world)


def address(world):
    """It comes back with another address, and is called there."""
    phone = world.phone
    phone.mark()
    phone.seat.unplug()
    phone.seat.give(f"{SITE.rsplit('.', 1)[0]}.{next(world.numbers)}")
    phone.seat.plug()
    phone.wait_registered(90)
    incoming(world)


def restart(world):
    """sipis is killed amid a call: the phone holds and resumes before it is
    registered again, the other side holds and hangs up after that."""
    phone, desk = world.phone, world.desk
    take(desk, phone, "100")
    phone.mark()
    world.lab.sipis.kill()
    world.lab.sipis.start()
    phone.hold()
    desk.wait_hold(True)
    phone.resume()
    desk.wait_hold(False)
    phone.wait_registered(90)
    desk.hold()
    phone.wait_hold(True)
    desk.hang_up()
    ends(phone, desk)


def srtp(world):
    """Keys in the SDP: it arrives byte for byte."""
    world.known("110")
    phone = world.at_edge("phone-srtp", "110", srtp=True)
    desk = world.at_pbx("desk-srtp", "320", type(phone), srtp=True)
    phone.wait_registered()
    for one, two, user in ((phone, desk, "320"), (desk, phone, "110")):
        take(one, two, user)
        two.hang_up()
        ends(one, two)
    here, there = set(phone.bodies()), set(desk.bodies())
    check(any(b"RTP/SAVP" in b and b"a=crypto:" in b for b in here),
          "an offer with keys")
    check_equal(here, there, "the SDP of both sides")
    phone.stop()
    desk.stop()


def joins(asker, held, asked):
    """It has one end on hold, asks another one, and joins the two.  An end is
    a phone and its number."""
    (first, number), (second, other) = held, asked
    take(asker, first, number)
    first_call = asker.last()
    asker.hold()
    first.wait_hold(True)
    take(asker, second, other)
    second.forget()
    first.forget()
    asker.transfer_to_call(first_call, asker.last())
    second.wait_up()
    first.wait_up()
    asker.wait_down()


def attended(world):
    """The phone asks the third one first, then joins the two; they speak
    Replaces as well."""
    second = world.at_pbx("second", "330", Linphone)
    third = world.at_pbx("third", "331", Linphone)
    joins(world.phone, (second, "330"), (third, "331"))
    second.hang_up()
    third.wait_down()
    second.stop()
    third.stop()


def attended_to(world):
    """Somebody at the PBX has a call held, asks the phone, and joins the two:
    what the third one sends replaces the phone's call."""
    second = world.at_pbx("asker", "332", Linphone)
    third = world.at_pbx("joined", "333", Linphone)
    joins(second, (third, "333"), (world.phone, "100"))
    with open(third.trace_path, encoding="utf-8", errors="replace") as file:
        check("\nReplaces: " in file.read(), "Replaces")
    third.hang_up()
    world.phone.wait_down()
    second.stop()
    third.stop()


def own_refresh(world):
    """The client refreshes the session itself, as often as agreed."""
    world.known("130")
    phone = world.at_edge("phone-timer", "130", refresh=6)
    phone.wait_registered()
    hand = world.hand("311")
    phone.call("311")
    invite = hand.wait_request("INVITE")
    agreed = ("Session-Expires: 6;refresher=uac\r\nRequire: timer\r\n"
              "Supported: timer\r\n")
    hand.reply(invite, 200, body=SDP, extra=agreed)
    hand.wait_request("ACK")
    phone.wait_up()
    for _ in range(3):
        again = hand.wait(lambda m: m.method in ("INVITE", "UPDATE")
                          and not m.status, 20, "refresh")
        hand.reply(again, 200, body=SDP if again.body else "", extra=agreed)
        if again.method == "INVITE":
            hand.wait_request("ACK")
    phone.hang_up()
    hand.reply(hand.wait_request("BYE"), 200)
    phone.wait_down()
    phone.stop()


def asleep(world, sleep, wake):
    """pn-* parameters by configuration stand for a push token that a desk
    computer has not; the harness is the one who sleeps and wakes."""
    lab, user = world.lab, "120"
    token = hashlib.sha256(wake.__name__.encode()).hexdigest()
    mark = hashlib.sha256(token.encode()).hexdigest()[:8]
    lab.fake.token(token)
    if not lab.sipis.account(user):
        world.known(user)
    phone = world.at_edge(
        f"phone-{wake.__name__}", user,
        pn="pn-provider=apns;pn-param=TEAMDEMO01.com.example.demo.voip;"
           f"pn-prid={token}")
    phone.wait_registered()

    def pushed():
        return len([r for r in lab.fake.requests(use="call")
                    if r["token"] == mark])

    check(len(lab.sipis.account(user)["instances"]) > 1, "an instance of it")
    before = pushed()
    sleep(phone)
    world.desk.call(user)
    poll(lambda: pushed() > before, 10, "push")
    wake(phone)
    phone.wait_incoming(20)
    phone.answer()
    phone.wait_up()
    world.desk.wait_up()
    world.desk.hang_up()
    ends(phone, world.desk)
    phone.stop()


def stops(phone):
    os.kill(phone.inner(), signal.SIGSTOP)


def goes_on(phone):
    os.kill(phone.inner(), signal.SIGCONT)


def suspended(world):
    asleep(world, stops, goes_on)


def unplugs(phone):
    phone.seat.unplug()


def plugs(phone):
    phone.seat.plug()


def offline(world):
    asleep(world, unplugs, plugs)


SCENARIOS = (register, incoming, outgoing, hold, transfer, transferred,
             refresh, network, srtp, restart, address)


def sipp_register(world):
    world.tool = world.at_edge("tool", "140", to="300", wait_ms=3000)
    world.tool.wait_seen("registered")


def sipp_incoming(world):
    world.desk.call("140")
    world.desk.wait_up()
    world.desk.hang_up()
    world.desk.wait_down()


def sipp_outgoing(world):
    world.desk.forget()
    world.desk.wait_incoming()
    world.desk.answer()
    world.desk.wait_up()
    check_equal(world.tool.wait(15), 0, f"sipp\n{world.tool.tail()}")
    world.desk.wait_down()


SIPP = {"register": sipp_register, "incoming": sipp_incoming,
        "outgoing": sipp_outgoing}
LINPHONE = (*SCENARIOS[:-2], attended, attended_to, own_refresh, suspended, offline,
            *SCENARIOS[-2:])


PROGRAMS = {Baresip: "baresip", Linphone: "linphone-daemon",
            SippPhone: "sipp"}


def write(name, rows):
    folder = os.path.join(BUILD, "tests", "e2e", "clients")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"{name}.json"), "w",
              encoding="utf-8") as file:
        json.dump(rows, file, indent=1)


def run(lab, kind, transport, scenarios=SCENARIOS, **more):
    """All of them, also after one that failed."""
    program = PROGRAMS[kind]
    if not shutil.which(program):
        skip(f"{program} is not installed (scripts/deps test)")
    only = os.environ.get("CLIENTS_ONLY", "").split()
    named = scenarios if isinstance(scenarios, dict) else \
        {scenario.__name__: scenario for scenario in scenarios}
    world, rows = World(lab, kind, transport, **more).open(), []
    for name, scenario in named.items():
        if only and name not in ("register", *only):
            continue
        began, why = time.monotonic(), ""
        try:
            scenario(world)
        except Exception as err:  # the next one has its own chance
            traceback.print_exc()
            why = str(err).splitlines()[0] or type(err).__name__
            for phone in filter(None, (world.phone, world.desk, world.other)):
                phone.quiet()
        took = time.monotonic() - began
        print(f"  {kind.KIND} {transport} {name}: "
              f"{why or 'ok'} ({took:.1f} s)", flush=True)
        rows.append({"client": kind.KIND, "transport": transport,
                     "scenario": name, "failed": why})
    if not only and not more:
        write(f"{kind.KIND}_{transport}", rows)
    failed = [row["scenario"] for row in rows if row["failed"]]
    check(not failed, f"failed: {' '.join(failed)}")


def test_baresip_tls(lab):
    run(lab, Baresip, "tls")


def test_baresip_tcp(lab):
    run(lab, Baresip, "tcp")


def test_baresip_udp(lab):
    run(lab, Baresip, "udp")


def test_linphone_tls(lab):
    run(lab, Linphone, "tls", LINPHONE)


def test_linphone_tcp(lab):
    run(lab, Linphone, "tcp", LINPHONE)


def test_linphone_udp(lab):
    run(lab, Linphone, "udp", LINPHONE)


def vouched(world):
    """sipis has answered what the PBX asked, also for re-INVITE and BYE."""
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics"
                                % world.lab.sipis.admin_port) as answer:
        found = re.search(r"(?m)^sipis_edge_answered_total (\d+)",
                          answer.read().decode())
    check(int(found.group(1)) >= 3, found.group(0))


def test_baresip_asked(lab):
    run(lab, Baresip, "tls", (*SCENARIOS[:-2], vouched, *SCENARIOS[-2:]),
        asked=True)


def test_linphone_asked(lab):
    run(lab, Linphone, "tls", (*LINPHONE[:-2], vouched, *LINPHONE[-2:]),
        asked=True)


def by_gruu(world):
    """It has named itself by the GRUU that it was given."""
    with open(world.phone.trace_path, encoding="utf-8",
              errors="replace") as file:
        trace = file.read()
    given = re.search(r';pub-gruu="([^"]+)"', trace)
    check(given and f"Contact: <{given.group(1)}>" in trace, f"GRUU: {given}")


def test_linphone_gruu(lab):
    run(lab, Linphone, "tls", (*SCENARIOS[:SCENARIOS.index(refresh)], by_gruu,
                               attended, attended_to), gruu=True)


def test_sipp_tcp(lab):
    run(lab, SippPhone, "tcp", SIPP)


def test_sipp_udp(lab):
    run(lab, SippPhone, "udp", SIPP)


def test_udp_ping(lab):
    """A UDP flow is kept alive by STUN (RFC 5626, section 4.4.2)."""
    World(lab, SippPhone, "udp").open()
    phone = HandPhone((SITE, PORTS["udp"]), "140", "udp", name="ping",
                      address=SITE)
    lab.at_end.append(phone.close)
    check_equal(phone.register().status, 200, "REGISTER")
    transaction = b"0123456789ab"
    phone.send(b"\x00\x01\x00\x00\x21\x12\xa4\x42" + transaction)
    phone.sock.settimeout(5)
    answer = phone.sock.recv(2048)
    check_equal((answer[:2], answer[8:20]), (b"\x01\x01", transaction),
                "Binding response")
