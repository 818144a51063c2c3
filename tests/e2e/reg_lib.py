"""reg-driver as an object: the registration machine without the daemon."""

import json
import os
import select
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "scripts", "lib"),
                os.path.join(HERE, "..", "fake")]

from stack import Proc, poll  # noqa: E402


class Driver(Proc):
    """One PBX profile; options are those of reg_driver.c."""

    def __init__(self, build, folder, name="driver", speed=1, **options):
        self.speed = speed
        options.setdefault("refresh", 600)
        options.setdefault("auth_failures", 1000)
        super().__init__(name, [
            os.path.join(build, "tests", "e2e", "reg-driver"),
            f"speed={speed}",
            *(f"{k}={v}" for k, v in options.items())], folder)
        if not os.path.exists(self.argv[0]):
            self.argv[0] = os.path.join(build, "reg-driver")
        self.stdin = self.stdout = subprocess.PIPE
        self.events, self.answers, self.states = [], [], {}
        self.lock = threading.Condition()

    def start(self):
        self.events, self.answers, self.states = [], [], {}
        super().start()
        threading.Thread(target=self.read_loop, args=(self.popen,),
                         daemon=True).start()
        self.wait_event(lambda e: "ready" in e, 20)
        return self

    def read_loop(self, popen):
        for line in popen.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            with self.lock:
                if "change" in event:
                    self.states[event["user"]] = event
                self.events.append(event)
                self.lock.notify_all()

    def say(self, command):
        self.popen.stdin.write(command.encode() + b"\n")
        self.popen.stdin.flush()

    def wait_event(self, cond, seconds=10, start=0):
        """The first event from number start on that fits."""
        def found():
            return next((e for e in self.events[start:] if cond(e)), None)
        with self.lock:
            if not self.lock.wait_for(found, seconds):
                raise AssertionError(
                    f"{self.name}: no such event within {seconds} s; last: "
                    f"{self.events[-3:]}\n{self.tail(20)}")
            return found()

    def ask(self, command, key, seconds=10):
        start = len(self.events)
        self.say(command)
        return self.wait_event(lambda e: key in e, seconds, start)

    def add(self, user, password=None):
        self.say(f"add {user} {password or 'pw-' + user}")

    def state(self, user):
        return self.states.get(user, {}).get("change")

    def wait_state(self, user, state, seconds=10):
        with self.lock:
            if not self.lock.wait_for(
                    lambda: self.state(user) == state, seconds):
                raise AssertionError(
                    f"{self.name}: {user} is {self.state(user)}, not "
                    f"{state}, after {seconds} s\n{self.tail(20)}")
            return self.states[user]

    def counts(self):
        return self.ask("counts", "counts")["counts"]

    def wait_count(self, state, number, seconds=20):
        poll(lambda: self.counts()[state] >= number, seconds,
             f"{number} accounts {state}", every=0.05)

    def clock(self):
        """Seconds of the driver's own, fast time."""
        return self.ask("clock", "clock_ms")["clock_ms"] / 1000

    def run_for(self, seconds):
        """Until so many of its seconds have gone by."""
        end = self.clock() + seconds
        poll(lambda: self.clock() >= end, seconds / self.speed * 3 + 10,
             f"{seconds} s of fast time", every=0.02)

    def op(self, command, user, *more, seconds=30):
        """look, unregister, probe: the answer."""
        start = len(self.events)
        self.say(" ".join((command, user, *more)))
        return self.wait_event(
            lambda e: e.get("answer") == command and e["user"] == user,
            seconds, start)

    def stop(self, seconds=10):
        if self.running():
            try:
                self.say("quit")
                self.popen.wait(seconds)
            except (OSError, subprocess.TimeoutExpired):
                pass
        return super().stop(seconds)


def silence(last, r):
    """Since the registrar's answer: until then it was its turn."""
    answered = last["answered"]
    return r["mono"] - (answered if answered and answered < r["mono"]
                        else last["mono"])


def cycles(records, gap, speed=1, asked=0):
    """REGISTERs grouped by silence between them, in the driver's time.  What
    an answer asks for belongs to it also if it takes longer, so many
    seconds."""
    found = []
    for r in records:
        last = found[-1][-1] if found else None
        if last and silence(last, r) * speed < (
                max(gap, asked) if last["answer"] in (401, 407, 423) else gap):
            found[-1].append(r)
        else:
            found.append([r])
    return found


def pause_until(cond, seconds, what):
    return poll(cond, seconds, what)


def quiet(sock, seconds):
    """Nothing comes in for so long."""
    return not select.select([sock], [], [], seconds)[0]
