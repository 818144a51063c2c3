"""A child process with a log, a condition that says it is ready, an end."""

import ctypes
import os
import select
import signal
import socket
import subprocess
import time


class DeadlineError(Exception):
    """A condition did not come true in its time."""


def poll(cond, seconds, what, every=0.01):
    """Waits until cond() is true and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = cond()
        if value:
            return value
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeadlineError(f"no {what} within {seconds} s")
        select.select([], [], [], min(every, left))


def free_port(address="127.0.0.1", kind=socket.SOCK_STREAM):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as sock:
        sock.bind((address, 0))
        return sock.getsockname()[1]


def die_with_parent(libc=ctypes.CDLL(None), pr_set_pdeathsig=1):
    """Between fork and exec: nothing stays if we are killed."""
    libc.prctl(pr_set_pdeathsig, signal.SIGTERM)


class Proc:
    """argv runs in a session of its own, so that a Ctrl-C at the terminal
    reaches only the one who started it, who then ends it by its pid."""

    def __init__(self, name, argv, folder, env=None, prefix=()):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.prefix = list(prefix)
        self.folder = folder
        self.env = env
        self.log_path = os.path.join(folder, f"{name}.log")
        self.popen = None
        self.stdin = subprocess.DEVNULL
        self.stdout = None

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        env = dict(os.environ, **self.env) if self.env else None
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                self.prefix + self.argv, stdin=self.stdin,
                stdout=self.stdout or log, stderr=log, env=env,
                cwd=self.folder, start_new_session=True,
                preexec_fn=die_with_parent)
        return self

    @property
    def pid(self):
        return self.popen.pid if self.popen else None

    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def wait_ready(self, cond, seconds, every=0.02):
        def ready():
            if not self.running():
                raise DeadlineError(
                    f"{self.name} ended with {self.popen.returncode} "
                    f"instead of getting ready:\n{self.tail()}")
            return cond()

        try:
            poll(ready, seconds, f"readiness of {self.name}", every)
        except DeadlineError as err:
            raise DeadlineError(f"{err}\n{self.tail()}") from None
        return self

    def wait(self, seconds):
        """The exit code."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise DeadlineError(
                f"{self.name} did not end within {seconds} s\n"
                f"{self.tail()}") from None

    def kill(self):
        """As a crash would end it."""
        if self.running():
            self.popen.send_signal(signal.SIGKILL)
            self.popen.wait()

    def stop(self, seconds=10):
        """Orderly, by its pid; returns the exit code."""
        if self.popen is None:
            return None
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.popen.returncode

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8",
                      errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def tail(self, lines=15):
        text = self.log().splitlines()[-lines:]
        return "\n".join(f"    {self.name}| {line}" for line in text)

    def wait_log(self, text, seconds=10, count=1):
        poll(lambda: self.log().count(text) >= count, seconds,
             f'"{text}" in the log of {self.name}')
