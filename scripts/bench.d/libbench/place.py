"""Where a bench runs: a network namespace of its own, a folder, a build."""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib"))

MARK = "SIPIS_BENCH_NAMESPACE"


def enter_namespace():
    """Starts this program again in a new network namespace with lo up."""
    if os.environ.get(MARK) != "yes":
        os.environ[MARK] = "yes"
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        os.execvp("unshare", ["unshare", "--net", *user, "--",
                              sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def build_dir():
    return os.environ.get("SIPIS_BENCH_BUILD",
                          os.path.join(ROOT, "build-bench"))


def program(*path):
    """A program of the release build."""
    name = os.path.join(build_dir(), *path)
    if not os.access(name, os.X_OK):
        sys.exit(f"bench: {name} is not built; run scripts/bench")
    return name


class Folder:
    """A folder under run/ (git ignores it, and it is on a real disk)."""

    def __init__(self, name, keep=False):
        self.path = os.path.join(ROOT, "run", f"bench-{name}-{os.getpid()}")
        self.keep = keep

    def __enter__(self):
        os.makedirs(self.path)
        return self.path

    def __exit__(self, kind, error, trace):
        if self.keep or kind not in (None, SystemExit):
            print(f"# kept: {self.path}", file=sys.stderr)
        else:
            shutil.rmtree(self.path, ignore_errors=True)


def certs():
    """Development certificates, made once."""
    path = os.path.join(ROOT, "run", "bench-certs")
    subprocess.run([os.path.join(ROOT, "scripts", "certs"), path], check=True,
                   stdout=subprocess.DEVNULL)
    return path
