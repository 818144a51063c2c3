#!/usr/bin/python3
"""scripts/run sees a dead daemon, also when nobody is at the keyboard.

  run_watch.py TOP"""

import os
import signal
import subprocess
import sys


def main(top):
    sys.path.insert(0, os.path.join(os.path.abspath(top), "scripts", "lib"))
    import run  # its folder is not known before

    class Part:
        """A daemon that ends at the first look."""
        name = "daemon"

        def __init__(self):
            self.popen = subprocess.Popen(["sleep", "60"])
            self.looks = 0

        def running(self):
            self.looks += 1
            if self.looks == 2:
                self.popen.kill()
                self.popen.wait()
            return self.popen.poll() is None

        def tail(self):
            return "the end"

    sys.stdin = open(os.devnull, encoding="utf-8")
    demo = object.__new__(run.Demo)
    demo.parts = [Part()]
    signal.alarm(20)
    try:
        demo.watch()
    except run.DeadlineError as err:
        print(f"seen: {err}")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
