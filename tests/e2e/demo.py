"""What scripts/run shows, with the build under test: a call hop by hop, an
exit code that tells, and nothing left when it is over."""

import os
import signal
import subprocess
import sys

from harness import TOP, check, check_equal, poll
from stack import DeadlineError

HOPS = ("INVITE in", "push sent", "provider accepted", "app awake",
        "app registered", "INVITE at the app", "180", "200", "BYE")


def place(lab):
    """A checkout with this build, and the certificates of all tests."""
    top = os.path.join(lab.folder, "top")
    os.makedirs(os.path.join(top, "run"))
    os.symlink(lab.build, os.path.join(top, "build"))
    os.symlink(lab.certs, os.path.join(top, "run", "certs"))
    return top


def command(top, *argv):
    return [sys.executable, "-B", os.path.join(TOP, "scripts", "lib",
                                               "run.py"), top, *argv]


def processes():
    """All that live in this namespace, by their first words."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if words[0]:
            found[int(pid)] = b" ".join(words[:4]).decode()
    return found


def left(before):
    """What lives beside those that lived before."""
    return {pid: words for pid, words in processes().items()
            if pid not in before}


def check_nothing_left(before):
    try:
        poll(lambda: not left(before), 10, "end of all that was started")
    except DeadlineError:
        check_equal(left(before), {}, "what still lives")
    check_equal(set(before) - set(processes()), set(), "others that ended")


def test_once_and_again(lab):
    """The second start finds what the first has left."""
    top, before = place(lab), processes()
    for _ in range(2):
        done = subprocess.run(command(top, "--once"), capture_output=True,
                              text=True, timeout=90, check=False)
        check_equal(done.returncode, 0, done.stdout + done.stderr)
        for hop in HOPS:
            check(hop in done.stdout, f"no {hop} in\n{done.stdout}")
        check_nothing_left(before)


def test_interrupted(lab):
    """Ctrl-C ends what was started and nothing else."""
    top = place(lab)
    other = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    # its words are not there yet when Popen() returns
    poll(lambda: other.pid in processes(), 10, "another process")
    before = processes()
    try:
        with subprocess.Popen(command(top), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True) as demo:
            lines = iter(demo.stdout.readline, "")
            check(any("Ctrl-C" in line for line in lines), "it never began")
            check(len(processes()) > len(before) + 4, "nothing runs")
            demo.send_signal(signal.SIGINT)
            check_equal(demo.wait(30), 0, "exit")
        check_nothing_left(before)
    finally:
        other.stdin.close()
        other.wait()


def test_killed_part(lab):
    """A call that is not whole ends with 1, and says what was not seen."""
    top, before = place(lab), processes()
    with subprocess.Popen(command(top, "--once"), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as demo:
        seen = ""
        for line in iter(demo.stdout.readline, ""):
            seen += line
            if "the phone sleeps" in line:
                phone = next(pid for pid, words in processes().items()
                             if "demo-phone" in words.split()[0])
                os.kill(phone, signal.SIGKILL)
        check_equal(demo.wait(30), 1, seen)
    check("NOT SEEN" in seen, seen)
    check_nothing_left(before)


def test_port_in_use(lab):
    """It says which, and starts nothing."""
    lab.fake_pns(port=18444)
    before = processes()
    done = subprocess.run(command(place(lab), "--once"), capture_output=True,
                          text=True, timeout=30, check=False)
    check_equal(done.returncode, 1, done.stdout + done.stderr)
    check("port 18444 is in use" in done.stderr, done.stderr)
    check_nothing_left(before)
