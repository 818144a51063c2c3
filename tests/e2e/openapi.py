"""docs/openapi.yaml against the running server: every operation with every
status that it documents, and nothing else."""

import os
import signal
import sqlite3
import subprocess

import openapi_check
from harness import check_equal, check, poll
from openapi_check import BEARER, NO_CALL, PROPER, WRONG
from stack import Mediator
from stack.fakes import hex_token
from stack.kamailio import Kamailio
from webpush import subscribe

TOKEN = hex_token("openapi").split(",")[0]
AOR = "sip:100@demo.test"


def phone():
    return openapi_check.Phone(AOR, "pw-100", Mediator.APP, TOKEN,
                               f"{Mediator.TOPIC}.voip")


def checker(lab, spec):
    return openapi_check.Checker(
        spec, f"https://127.0.0.1:{lab.sipis.api_port}",
        f"{lab.certs}/site-ca.pem",
        f"http://127.0.0.1:{lab.sipis.admin_port}")


def restart(lab, **over):
    """The same sipis with other limits."""
    lab.sipis.stop()
    lab.sipis.config["api"].update(over)
    return lab.sipis.start()


def create(c, installation="fault"):
    made = c.expect(201, "create", body=phone().body(installation))
    return {"id": made["instance"], "call": NO_CALL}, made["secret"]


def browser(lab, c):
    """What a PushSubscription says is as documented, keys and all."""
    made = c.expect(201, "create", body=phone().body(
        "browser", platform="web", push=[subscribe(lab)]))
    c.expect(204, "remove", path={"id": made["instance"]},
             secret=made["secret"])


def calls(lab, c):
    """A call that waits, rings, is declined and is over."""
    path, secret = create(c)
    c.expect(200, "tell", path=path, secret=secret, body={"state":
                                                          "inactive"})
    lab.wait_registered()
    caller = lab.caller()
    poll(lambda: lab.fake.requests(use="call"), 10, "push")
    (call,) = c.expect(200, "tell", path=path, secret=secret,
                       body={"state": "active"})["calls"]
    path["call"] = call["call"]
    check_equal(c.expect(200, "call", path=path, secret=secret)["ended"],
                None, "the call waits")
    c.expect(204, "ringing", path=path, secret=secret)
    c.expect(204, "decline", path=path, secret=secret)
    said = c.expect(200, "call", path=path, secret=secret, query="?wait=30")
    check_equal(said["ended"], "declined", "the call's end")
    for name in ("ringing", "decline"):
        c.expect(409, name, path=path, secret=secret)
    caller.wait(30)
    seen = c.expect(200, "timeline", path={"which": call["call"][:8]})
    check_equal(seen["call"], call["call"], "the timeline's call")
    twin(lab, bytes.fromhex(call["call"].replace("-", "")))
    c.expect(409, "timeline", path={"which": call["call"][:8]})
    c.expect(200, "timeline", path={"which": call["call"]})
    check(c.expect(200, "calls")["calls"], "the list of calls")
    c.expect(204, "remove", path=path, secret=secret)


def twin(lab, call):
    """A second call whose id begins like this one's."""
    base = sqlite3.connect(f"{lab.sipis.config['state_dir']}/sipis-calls.db",
                           timeout=10)
    columns = [row[1] for row in base.execute("PRAGMA table_info(call)")
               if row[1] not in ("n", "id")]
    names = ", ".join(columns)
    with base:
        base.execute(f"INSERT INTO call (id, {names}) SELECT ?, {names} "
                     "FROM call WHERE id = ?",
                     (call[:-1] + bytes([call[-1] ^ 1]), call))
    base.close()


def busy(lab, c):
    """Another process holds the store."""
    path, secret = create(c)
    other = sqlite3.connect(f"{lab.sipis.config['state_dir']}/sipis.db",
                            isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        changes(c, 503, path, secret)
        c.expect(200, "read", path=path, secret=secret)
    finally:
        other.execute("ROLLBACK")
        other.close()
    c.expect(204, "remove", path=path, secret=secret)


def changes(c, wanted, path, secret):
    c.expect(wanted, "create", body=phone().body("another"))
    c.expect(wanted, "change", path=path, secret=secret,
             body={"label": "x" * 100})
    c.expect(wanted, "tell", path=path, secret=secret,
             body={"state": "inactive"})
    c.expect(wanted, "remove", path=path, secret=secret)


def full(lab, c):
    """The disk is full, and is not any more."""
    state_dir = lab.sipis.config["state_dir"]
    path, secret = create(c)
    ballast = os.path.join(state_dir, "ballast")
    fill(ballast)
    try:
        # what the log still has room for in its file goes on
        poll(lambda: c.call("tell", path=path, secret=secret,
                            body={"state": "active"})[0] == 507, 30,
             "a full disk")
        changes(c, 507, path, secret)
        c.expect(200, "read", path=path, secret=secret)
    finally:
        os.unlink(ballast)
    poll(lambda: c.call("tell", path=path, secret=secret,
                        body={"state": "inactive"})[0] == 200, 5,
         "changes once there is room again")
    c.expect(204, "remove", path=path, secret=secret)


def fill(path):
    with open(path, "wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def no_mediator(lab, c):
    path, secret = create(c)
    lab.mediator.kill()
    c.expect(503, "create", body=phone().body("another"))
    c.expect(503, "change", path=path, secret=secret,
             body={"push": [phone().push()]})
    lab.mediator.start()
    return path, secret


def pbx_away(lab, c, path, secret):
    """First it is silent, then it is gone."""
    password = {"account": {"password": "pw-100"}}
    for pid in family(lab.pbx.pid):
        os.kill(pid, signal.SIGSTOP)
    c.expect(504, "create", body=phone().body("another"))
    c.expect(504, "change", path=path, secret=secret, body=password)
    for pid in family(lab.pbx.pid):
        os.kill(pid, signal.SIGKILL)
    lab.pbx.popen.wait()
    poll(lambda: c.call("create", body=phone().body("another"))[0] == 502,
         60, "an unreachable PBX")
    poll(lambda: c.call("change", path=path, secret=secret,
                        body=password)[0] == 502, 60, "the same for a change")


def family(pid):
    found = [pid]
    for one in found:
        with open(f"/proc/{one}/task/{one}/children",
                  encoding="ascii") as file:
            found += [int(p) for p in file.read().split()]
    return found


def throttled(lab, c, path, secret):
    """Beyond the limits of one address."""
    restart(lab, bad_secrets_per_min=1)
    c.expect(404, "read", path=path, secret=WRONG)
    for name in BEARER:
        c.expect(429, name, path=path, secret=secret, body=PROPER.get(name))
    restart(lab, bad_secrets_per_min=1000, requests_per_second=1)
    for name in ("create", "health"):
        poll(lambda: c.call(name, body=PROPER.get(name))[0] == 429, 5,
             f"429 for {name}")


def test_all(lab):
    spec = openapi_check.Spec()
    lab.pbx = lab.add(Kamailio(lab.folder, lab.certs, tls_port=5061)).start()
    lab.fake_pns().token(TOKEN)
    lab.add_mediator()
    sipis = lab.add_sipis("tcp", start=False, over={"api": {
        "bad_secrets_per_min": 1000}}, pbx={"auth_failures": 1000})
    os.makedirs(sipis.config["state_dir"], mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700",
                    "tmpfs", sipis.config["state_dir"]], check=True)
    sipis.start()

    c = checker(lab, spec)
    openapi_check.ordinary(c, phone())
    browser(lab, c)
    calls(lab, c)
    busy(lab, c)
    full(lab, c)
    path, secret = no_mediator(lab, c)
    pbx_away(lab, c, path, secret)
    throttled(lab, c, path, secret)
    check(not c.faults, "\n".join(c.faults))
    check_equal(c.missing(), [], "documented, but never seen")
