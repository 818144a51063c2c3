"""The registration machine against a real Kamailio: transports, address
families, digest algorithms, nonces that grow old."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import check, check_equal, poll  # noqa: E402
from reg_lib import Driver  # noqa: E402


def driver(lab, transport="udp", **options):
    options.setdefault("local_address", lab.host)
    return lab.add(Driver(
        lab.build, lab.folder, transport=transport,
        proxy=lab.door(transport), ca=f"{lab.certs}/site-ca.pem",
        tls_name="pbx.test", local_port=5070, **options)).start()


def round_trip(lab, transport):
    """Register, look, refuse, un-REGISTER."""
    drv = driver(lab, transport)
    drv.add("100")
    drv.wait_state("100", "registered")
    contacts = lab.pbx.contacts("100")
    check_equal(len(contacts), 1, f"contacts {contacts}")
    check("sipis=" in contacts[0], f"our mark in {contacts[0]}")
    check_equal(lab.pbx.registers("100")[-1]["proto"], transport, "transport")

    look = drv.op("look", "100")
    check_equal((look["scode"], look["ours"], look["others"]),
                (200, True, 0), "look")
    check_equal(drv.op("probe", "101", "pw-101")["scode"], 200, "right")
    check_equal(drv.op("probe", "101", "wrong")["scode"], 401, "wrong")
    check_equal(lab.pbx.contacts("101"), [], "contacts of a probe")

    check_equal(drv.op("unregister", "100")["scode"], 200, "un-REGISTER")
    check_equal(lab.pbx.contacts("100"), [], "contacts afterwards")
    drv.say("want 100 1")
    drv.wait_state("100", "registered")
    return drv


def test_udp(lab):
    lab.kamailio()
    round_trip(lab, "udp")


def test_tcp(lab):
    lab.kamailio()
    round_trip(lab, "tcp")


def test_tls(lab):
    lab.kamailio()
    round_trip(lab, "tls")


def test_ipv6(lab):
    lab.host = "::1"
    lab.kamailio()
    drv = round_trip(lab, "udp")
    drv.op("unregister", "100")
    drv.stop()
    round_trip(lab, "tcp")


def test_sha256(lab):
    lab.kamailio(defines=["WITH_SHA256"])
    drv = round_trip(lab, "udp")
    check_equal(drv.op("probe", "102", "pw-102")["alg"], 1, "algorithm")


def test_nonces_grow_old(lab):
    """stale=true costs one more round, never an account."""
    lab.kamailio(defines=["WITH_SHORT_NONCE"])
    drv = driver(lab, refresh=60, speed=10)
    drv.say("add 1 0 20")
    drv.wait_count("registered", 20)
    before = len(lab.pbx.registers())
    drv.run_for(150)
    check(len(lab.pbx.registers()) >= before + 40, "refreshes")
    check_equal(drv.counts()["registered"], 20, "registered")


def test_thousand_accounts(lab):
    lab.kamailio()
    drv = driver(lab, register_rate=500)
    drv.say("add 1 0 1000")
    drv.wait_count("registered", 1000, 30)
    check_equal(len({r["user"] for r in lab.pbx.registers()}), 1000,
                "users at the PBX")


def test_restarted_pbx(lab):
    """Kamailio forgets all bindings: they are back within 75 s."""
    lab.kamailio()
    drv = driver(lab, speed=5, refresh=3600)
    drv.say("add 1 0 50")
    drv.wait_count("registered", 50)
    drv.run_for(40)
    lab.pbx.stop()
    lab.pbx.start()
    poll(lambda: len(lab.pbx.users()) == 50, 30, "50 users")
