"""The registration machine against a registrar that misbehaves: each
behaviour once for a new account and once for one that was taken before.

What must hold whatever comes (promises.md, section 3): it ends in the right
state, REGISTERs stay far apart, credentials go to the right realm only and
not again and again."""

import os
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import check  # noqa: E402
from reg_lib import Driver, cycles  # noqa: E402
from evil_registrar import BEHAVIOURS, Registrar  # noqa: E402

SPEED = 30
WATCH_S = 150      # of fast time
GAP_S = 6          # within it REGISTERs belong to one cycle
APART_S = 14       # cycles are not closer
PARALLEL = 12

# Behaviour -> state of a new account, most REGISTERs in a cycle.
NEW = {
    "ok": ("registered", 2), "noauth": ("registered", 1),
    "sha256": ("registered", 2), "sha256_md5": ("registered", 2),
    "md5_sha256": ("registered", 2), "unknown_md5": ("registered", 2),
    "unknown": ("waiting", 1), "md5_sess": ("registered", 2),
    "noqop": ("registered", 2), "noalg": ("registered", 2),
    "qop_list": ("registered", 2), "auth_int": ("waiting", 1),
    "proxy": ("registered", 2), "downgrade": ("registered", 2),
    "stale": ("registered", 3), "stale_always": ("waiting", 3),
    "one_nonce": ("registered", 3), "nextnonce": ("registered", 2),
    "endless401": ("auth_failed", 2), "401_bare": ("waiting", 1),
    "wrong_realm": ("registered auth_failed", 2),
    "realm_change": ("registered", 2), "realm_rotate": ("auth_failed", 2),
    # RFC 7616 hashes the realm without its escapes, the fake with them
    "realm_empty": ("registered", 2),
    "realm_quotes": ("registered auth_failed", 2),
    "nonce_huge": ("registered", 2), "challenge_junk": ("waiting", 1),
    "basic": ("waiting", 1), "status:404": ("rejected", 1),
    "status:699": ("rejected", 1), "status:700": ("waiting", 1),
    "403": ("rejected", 1), "auth+403": ("auth_failed", 2),
    "404": ("rejected", 1), "423": ("registered", 3),
    "auth+423:1000": ("registered", 4), "423_always": ("waiting", 2),
    "423_none": ("waiting", 1), "423_lower": ("waiting", 1),
    "423_rising": ("waiting", 2), "302": ("waiting", 1),
    "302_self": ("waiting", 1), "301": ("waiting", 1),
    "480": ("waiting", 1), "486:20": ("waiting", 1),
    "500:20": ("waiting", 1), "503:20": ("waiting", 1),
    "503": ("waiting", 1), "504": ("waiting", 1),
    "600": ("rejected", 1), "603:20": ("rejected", 1),
    "silence": ("waiting", 1), "100": ("waiting", 1),
    "100_ok": ("registered", 2), "late:20": ("registered", 2),
    "twice": ("registered", 2), "expires:0": ("registered", 2),
    "expires:1": ("registered", 2), "expires:59": ("registered", 2),
    "expires:4772186": ("registered", 2),
    "expires:2147483648": ("registered", 2),
    "expires:4294967295": ("registered", 2),
    "expires:99999999999999999999": ("registered", 2),
    "expires_header:60": ("registered", 2),
    "expires_both:60": ("registered", 2), "expires_none": ("registered", 2),
    "rewritten": ("registered", 2), "contact_none": ("registered", 2),
    "contact_others": ("registered", 2), "contact_many": ("registered", 2),
    "contact_odd": ("registered", 2), "contact_junk": ("registered", 2),
    "garbage": ("waiting", 1), "truncated": ("waiting", 1),
    "wrong_cseq": ("registered waiting", 2),
    "wrong_branch": ("waiting", 1),
    "wrong_callid": ("registered waiting", 2), "huge": ("waiting", 1),
    "many_headers": ("registered waiting", 2),
    "compact": ("registered", 2), "unsupported": ("rejected", 1),
    "auth+garbage": ("waiting", 2), "auth+silence": ("waiting", 2),
}

# For an account that the PBX took before; others end as above, but 403 and
# the like are asked again after a while.
PROVEN = {
    # the nonce that was kept is still good there
    "ok": "registered", "sha256": "registered waiting",
    "realm_empty": "registered waiting", "endless401": "rejected",
    "wrong_realm": "waiting", "realm_rotate": "waiting",
    "401_bare": "waiting", "403": "rejected",
    "auth+403": "rejected", "404": "rejected", "302": "waiting",
    "500:20": "waiting", "600": "rejected", "garbage": "waiting",
    "unknown": "waiting", "silence": "waiting", "expires:0": "registered",
    "contact_none": "registered", "contact_others": "registered",
    "nextnonce": "registered", "one_nonce": "registered",
    "stale": "registered", "noauth": "registered",
}

TCP = {
    "ok": "registered", "sha256_md5": "registered", "reset": "waiting",
    "close": "waiting", "garbage": "waiting", "truncated": "waiting",
    "silence": "waiting", "503:20": "waiting", "twice": "registered",
    "huge:30000": "registered waiting", "compact": "registered",
    "expires:0": "registered",
}


def judge(records, spec, most, state):
    """What no behaviour may bring about.  A look at the bindings (no
    Contact) is not a REGISTER in this sense."""
    check(not any(r["malformed"] for r in records), f"{spec}: malformed")
    cseqs = [r["cseq"] for r in records]
    check(cseqs == sorted(set(cseqs)), f"{spec}: CSeq {cseqs}")
    records = [r for r in records if r["contact"]]
    groups = cycles(records, GAP_S, SPEED, APART_S)
    for group in groups:
        check(len(group) <= most,
              f"{spec}: {len(group)} REGISTERs in one go, at most {most}")
    starts = [g[0]["mono"] * SPEED for g in groups]
    for a, b in zip(starts, starts[1:]):
        check(b - a >= APART_S, f"{spec}: again after {b - a:.1f} s")
    check(len(groups) <= 1 + WATCH_S / APART_S,
          f"{spec}: {len(groups)} rounds")
    if state == "registered":
        check(len(groups) <= 1 + WATCH_S / 29,
              f"{spec}: {len(groups)} refreshes in {WATCH_S} s")
    refused = [r for r in records if r["auth"] and r["answer"] in (401, 403)]
    check(len(refused) <= 2 or "stale" in spec or "nonce" in spec,
          f"{spec}: credentials were refused {len(refused)} times")
    check(len({r["call_id"] for r in records}) == 1, f"{spec}: Call-IDs")


def settle(driver, states, spec):
    """Some of these states, for a time that is long to the driver."""
    wanted = states.split()
    with driver.lock:
        fine = driver.lock.wait_for(
            lambda: driver.state("u") in wanted, 15)
    check(fine, f"{spec}: {driver.state('u')}, not {states}")
    driver.run_for(WATCH_S)


def run_new(lab, spec, transport="udp", states=None, most=4):
    states, most = NEW[spec] if states is None else (states, most)
    reg = Registrar(behaviour=spec).start()
    driver = lab.add(Driver(
        lab.build, lab.folder, f"{transport}-{spec.replace(':', '-')}",
        SPEED, proxy=f"127.0.0.1:{reg.port}", transport=transport,
        local_address="127.0.0.1")).start()
    try:
        driver.add("u")
        settle(driver, states, spec)
        check(driver.running(), f"{spec}: the driver ended")
        judge(reg.records("u"), spec, most, driver.state("u"))
    finally:
        driver.stop()
        reg.stop()


def run_proven(lab, spec):
    reg = Registrar(behaviour="ok").start()
    driver = lab.add(Driver(
        lab.build, lab.folder, f"proven-{spec.replace(':', '-')}", SPEED,
        proxy=f"127.0.0.1:{reg.port}", local_address="127.0.0.1",
        refresh=60)).start()
    try:
        driver.add("u")
        driver.wait_state("u", "registered")
        before = len(reg.records("u"))
        reg.behave(spec)
        reg.wait(before + 1, 30)
        settle(driver, PROVEN[spec], spec)
        got = reg.records("u")[before:]
        judge(got, spec, 4, driver.state("u"))
        for r in got:
            check(not r["auth"] or r["auth"]["realm"] == "test",
                  f"{spec}: credentials for {r['auth']}")
    finally:
        driver.stop()
        reg.stop()


def sweep(lab, runs):
    """Several at a time; all are tried before one failure counts."""
    failures = []

    def one(run):
        try:
            run[0](lab, *run[1:])
        except Exception:  # reported with all others
            failures.append(f"{run[1:]}: {traceback.format_exc(limit=3)}")

    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(one, runs))
    check(not failures, "\n".join(failures))


def test_table_is_whole(_lab):
    missing = {b for b in BEHAVIOURS
               if not any(k.split(":")[0] == b for k in {**NEW, **TCP})}
    check(missing <= {"status"}, f"not tried: {missing}")


def test_new_account(lab):
    sweep(lab, [(run_new, spec) for spec in NEW])


def test_proven_account(lab):
    sweep(lab, [(run_proven, spec) for spec in PROVEN])


def test_over_tcp(lab):
    sweep(lab, [(run_new, spec, "tcp", states)
                for spec, states in TCP.items()])


def test_downgrade_is_refused(lab):
    """SHA-256 until the first success, then only MD5: no digest at all."""
    reg = Registrar(behaviour="downgrade").start()
    driver = lab.add(Driver(lab.build, lab.folder, "downgrade", SPEED,
                            proxy=f"127.0.0.1:{reg.port}", refresh=60,
                            local_address="127.0.0.1")).start()
    driver.add("u")
    driver.wait_state("u", "registered")
    driver.wait_state("u", "waiting", 30)
    driver.run_for(WATCH_S)
    algs = {r["auth"]["alg"] for r in reg.records("u") if r["auth"]}
    check(algs == {"SHA-256"}, f"algorithms {algs}")
    reg.stop()
