"""The end-to-end tests' own world: one network, process and mount namespace
per test, one folder of logs, and checks that say what was seen.

A test is a file of functions test_*(lab).  ctest calls

    python3 harness.py FILE [NAME... | --share=I/N]

The test's process is started again inside fresh namespaces, so that ports
never collide and nothing survives it, however it ends.  Not root: user
namespaces do the same; where those are switched off the test is skipped
loudly (exit 77).
"""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path[:0] = [HERE, os.path.join(TOP, "scripts", "lib")]

from stack import (  # noqa: E402
    DemoPhone, FakePns, Kamailio, Mediator, Sipis, Sipp, poll)
from sip import Caller  # noqa: E402

SKIP = 77
BUILD = os.environ.get("SIPIS_BUILD", os.path.join(TOP, "build"))


class Skip(Exception):
    """This machine cannot run the test; the reason goes to the log."""


def skip(reason):
    raise Skip(reason)


def real_root():
    """Root outside of a user namespace as well."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split()[2] == "4294967295"


def check(cond, what):
    if not cond:
        raise AssertionError(what)


def check_equal(seen, wanted, what):
    if seen != wanted:
        raise AssertionError(f"{what}: {seen!r}, not {wanted!r}")


class Lab:
    """The namespace's parts, started as a test asks for them."""

    def __init__(self, folder, certs):
        self.folder, self.certs, self.build = folder, certs, BUILD
        self.parts = []
        self.at_end = []  # functions, for what is no process
        self.host = "127.0.0.1"  # of the PBX and of what talks SIP to it
        self.pbx = self.fake = self.mediator = self.sipis = None

    def add(self, part):
        self.parts.append(part)
        return part

    def kamailio(self, variant="tsilo", **more):
        more.setdefault("tls_port", 5061)
        more.setdefault("address", self.host)
        self.pbx = self.add(Kamailio(self.folder, self.certs, variant,
                                     **more)).start()
        return self.pbx

    def asterisk(self, **more):
        from asterisk import Asterisk
        self.pbx = self.add(Asterisk(self.folder, self.certs, **more))
        return self.pbx.start()

    def fake_pns(self, **more):
        self.fake = self.add(FakePns(self.build, self.folder, self.certs,
                                     **more)).start()
        return self.fake

    def add_mediator(self, start=True, **more):
        part = self.add(Mediator(self.build, self.folder, self.certs,
                                 self.fake.port, **more))
        self.mediator = self.mediator or part
        return part.start() if start else part

    def add_sipis(self, transport="udp", start=True,
                  mediators=("127.0.0.1:24998",), **more):
        more.setdefault("pbx_proxy", self.door(transport))
        if self.host != "127.0.0.1":
            more["pbx"] = {"local_address": self.host, **more.get("pbx", {})}
        self.sipis = self.add(Sipis(self.build, self.folder, self.certs,
                                    list(mediators), transport=transport,
                                    **more))
        return self.sipis.start() if start else self.sipis

    def daemons(self, transport="udp", **more):
        """Fake, mediator and sipis, as most tests want them."""
        self.fake_pns()
        self.add_mediator()
        return self.add_sipis(transport, **more)

    def door(self, transport="udp"):
        """Where the PBX takes this transport."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{5061 if transport == 'tls' else 5060}"

    def phone(self, name="phone", transport="udp", user="100", start=True,
              options=(), **more):
        if self.host != "127.0.0.1":
            options = (*options, "--sip-listen", self.host)
        registrar = f"sip:{self.door(transport)};transport={transport}"
        part = self.add(DemoPhone(
            self.build, self.folder, self.certs, self.sipis.api_port,
            self.fake.control, registrar, user=user, name=name,
            options=options, **more))
        return part.start() if start else part

    def caller(self, scenario="caller.xml", **more):
        more.setdefault("name", f"sipp{len(self.parts)}")
        return self.add(Sipp(self.folder, scenario, self.door(),
                             **more)).start()

    def gives_up(self, seen, what="push", user="100"):
        """A caller from the trunk who hangs up once that was seen."""
        caller = Caller((self.host, 5060), user).invite()
        poll(seen, 10, what)
        status = caller.hang_up()
        check(status in (480, 487), f"the caller got {status}")

    def wait_registered(self, user="100", seconds=10):
        """sipis holds the binding, by the PBX's own word."""
        poll(lambda: any(";sipis=" in c for c in self.pbx.contacts(user)),
             seconds, f"binding of sipis for {user}", 0.05)

    def newest_call(self, seconds=5):
        calls = poll(lambda: self.sipis.calls(), seconds, "call in sipis")
        return calls[0]["call"]

    def close(self):
        for part in reversed(self.parts):
            part.stop()
        while self.at_end:
            self.at_end.pop()()

    def show(self):
        for part in self.parts:
            print(part.tail(40), file=sys.stderr)

    def sanitizer_reports(self):
        """What ASan, UBSan or TSan said in any log."""
        marks = ("ERROR: AddressSanitizer", "runtime error:",
                 "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer")
        return [f"{part.name}: {line}" for part in self.parts
                for line in part.log().splitlines()
                if any(mark in line for mark in marks)]


def certificates():
    """One set per build, shared by all tests."""
    folder = os.path.join(BUILD, "tests", "e2e", "certs")
    subprocess.run(["flock", BUILD, os.path.join(TOP, "scripts", "certs"),
                    folder, "10.77.0.1", "10.77.0.2"], check=True)
    return folder


def run_one(name, test, keep):
    folder = os.path.join(keep, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    lab = Lab(folder, certificates())
    try:
        test(lab)
        lab.close()
        reports = lab.sanitizer_reports()
        check(not reports, "\n".join(reports))
    except Skip as reason:
        lab.close()
        print(f"{name}: SKIPPED: {reason}", flush=True)
        return SKIP
    except Exception:  # a test may fail in any way
        traceback.print_exc()
        lab.show()
        lab.close()
        print(f"{name}: FAILED, logs in {folder}", flush=True)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{name}: ok", flush=True)
    return 0


def inside(path, names):
    """Within the namespaces: the tests one after the other."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    spec = importlib.util.spec_from_file_location("case", path)
    case = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(case)
    tests = {name: fn for name, fn in vars(case).items()
             if name.startswith("test_")}
    keep = os.environ.get("E2E_LOGS", os.path.join(
        BUILD, "tests", "e2e", "logs",
        os.path.splitext(os.path.basename(path))[0]))
    codes = [run_one(name, tests[name], keep)
             for name in share(names, list(tests))]
    if any(code not in (0, SKIP) for code in codes):
        return 1
    return SKIP if SKIP in codes else 0


def share(names, tests):
    """--share=I/N: every Nth of a file's tests, beginning with the Ith."""
    if not names:
        return tests
    if not names[0].startswith("--share="):
        return names
    which, of = map(int, names[0].removeprefix("--share=").split("/"))
    return tests[which - 1::of]


def namespaces():
    """The command that gives a world of its own here, or None."""
    base = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
            "--mount-proc"]
    if os.geteuid() != 0:
        base[1:1] = ["--user", "--map-root-user"]
    return base if works(base) else None


def works(prefix):
    return subprocess.run(prefix + ["true"], capture_output=True,
                          check=False).returncode == 0


@contextlib.contextmanager
def alone():
    """One test at a time: a lock that ends with its holder."""
    tmp = os.open("/tmp", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(tmp, fcntl.LOCK_EX)
        yield
    finally:
        os.close(tmp)


@contextlib.contextmanager
def world():
    """The same, also where the root is the folder of a chroot: the kernel
    makes only a mount point private, so it gets a view that is one."""
    prefix = namespaces()
    if prefix or os.geteuid() != 0:
        yield prefix
        return
    root = tempfile.mkdtemp(prefix="sipis-e2e-root-", dir="/tmp")
    # no other test's view may hold a copy of this one
    with alone():
        bound = subprocess.run(["mount", "--rbind", "/", root],
                               capture_output=True, check=False)
        if bound.returncode == 0:
            subprocess.run(["mount", "--make-runbindable", root], check=True)
    try:
        if bound.returncode == 0:
            prefix = ["chroot", root, "unshare", "--net", "--mount", "--pid",
                      "--fork", "--kill-child", "--mount-proc",
                      f"--wd={os.getcwd()}"]
        yield prefix if prefix and works(prefix) else None
    finally:
        if bound.returncode == 0:
            subprocess.run(["umount", "--lazy", "--recursive", root],
                           check=True)
        os.rmdir(root)


def main(argv):
    if os.environ.get("E2E_INSIDE") == "1":
        return inside(os.path.abspath(argv[1]), argv[2:])
    sys.modules["harness"] = sys.modules["__main__"]
    env = dict(os.environ, E2E_INSIDE="1",
               PATH=os.environ["PATH"] + ":/usr/sbin:/sbin",
               TMPDIR=tempfile.gettempdir())
    with world() as prefix:
        if prefix is None:
            print("SKIPPED: the tests need root or user namespaces",
                  flush=True)
            return SKIP
        return subprocess.run(
            prefix + [sys.executable, os.path.abspath(__file__), *argv[1:]],
            env=env, check=False).returncode


if __name__ == "__main__":
    if os.environ.get("E2E_INSIDE") == "1":
        sys.modules["harness"] = sys.modules["__main__"]
    sys.exit(main(sys.argv))
