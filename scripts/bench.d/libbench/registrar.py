"""bench-registrar as an object (tests/bench/registrar/control.h)."""

import json
import os
import socket
import subprocess

from .place import program
from stack import DeadlineError, Proc, poll


class Registrar(Proc):
    """The PBX of the benches on 127.0.0.1:5060."""

    def __init__(self, folder, users, grant, nonce_life, port=5060,
                 name="registrar"):
        self.port, self.sock, self.file = port, None, None
        super().__init__(name, [
            program("tests", "bench", "bench-registrar"), "--listen",
            f"127.0.0.1:{port}", "--control", "0", "--users", users,
            "--grant", grant, "--nonce-life", nonce_life], folder)
        self.stdout = subprocess.PIPE

    def start(self):
        super().start()
        ready = json.loads(self.popen.stdout.readline())
        self.sock = socket.create_connection(("127.0.0.1", ready["control"]))
        self.file = self.sock.makefile("r", encoding="ascii")
        return self

    def ask(self, command):
        self.sock.sendall(command.encode() + b"\n")
        answer = json.loads(self.file.readline())
        if not answer["ok"]:
            raise RuntimeError(f"registrar: {command}: {answer['error']}")
        return answer

    def stats(self):
        return self.ask("stats")

    def wait_bound(self, count, seconds, every=0.25):
        return poll(lambda: self.stats()["bound"] >= count, seconds,
                    f"{count} bindings", every=every)

    def wait_new(self, count, seconds, part):
        """First bindings since the last reset, by a part that runs."""
        def done():
            if not part.running():
                raise DeadlineError(f"{part.name} ended:\n{part.tail()}")
            return self.ask("counts")["new"] >= count

        return poll(done, seconds, f"{count} first bindings", every=0.1)

    def invite(self, rate, count, first, users, target=None):
        where = f" {target[0]} {target[1]}" if target else ""
        self.ask(f"invite {rate} {count} {first} {users}{where}")

    def wait_calls(self, count, seconds):
        poll(lambda: self.ask("calls")["started"] == count
             and not self.ask("calls")["open"], seconds,
             f"end of {count} calls", every=0.25)
        return self.ask("calls")

    def calls(self):
        path = os.path.join(self.folder, "calls.jsonl")
        self.ask(f"dump {path}")
        with open(path, encoding="ascii") as file:
            return [json.loads(line) for line in file]
