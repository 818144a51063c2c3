"""bench-edge as an object (tests/bench/edge/main.c)."""

import json
import subprocess

from .place import program
from stack import Proc

PBX = "127.0.0.1:5060"


class EdgeLoad(Proc):
    """A PBX and its phones, in one process."""

    def __init__(self, folder, proxy, edge, transport, users, name="load"):
        super().__init__(name, [
            program("tests", "bench", "bench-edge"), PBX, proxy, edge,
            transport, users], folder)
        self.stdin, self.stdout = subprocess.PIPE, subprocess.PIPE

    def start(self):
        super().start()
        self.answer()
        return self

    def answer(self):
        line = self.popen.stdout.readline()
        if not line:
            raise RuntimeError(f"the load ended:\n{self.tail()}")
        return json.loads(line)

    def ask(self, *words):
        line = " ".join(str(w) for w in words) + "\n"
        self.popen.stdin.write(line.encode())
        self.popen.stdin.flush()
        return self.answer()
