"""sipp as the caller.  Debian's sipp knows UDP and TCP."""

import os

from .proc import Proc

SCENARIOS = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                         "..", "..", "..", "tests", "e2e", "sipp")


class Sipp(Proc):
    """One run of a scenario; @WORDS@ in it are replaced by keyword
    arguments."""

    def __init__(self, folder, scenario, target, user="100", calls=1, rate=10,
                 address="127.0.0.9", port=0, transport="u1", inf=None,
                 domain="demo.test", caller="200", name="sipp", options=(),
                 prefix=(), **words):
        self.scenario = os.path.join(folder, f"{name}.xml")
        self.results_path = os.path.join(folder, f"{name}.results")
        self.template = os.path.join(SCENARIOS, scenario)
        self.words = {"HOLD_MS": 300, "CANCEL_MS": 1000, "USER": user,
                      "DOMAIN": domain, "CALLER": caller,
                      "PASSWORD": f"pw-{caller}", **words}
        argv = ["sipp", target, "-sf", self.scenario, "-m", calls, "-r", rate,
                "-i", address, "-t", transport, "-nostdin",
                "-s", user, "-trace_logs", "-log_file", self.results_path,
                "-trace_err", "-error_file",
                os.path.join(folder, f"{name}.errors"),
                "-timeout_error", *options]
        if port:
            argv += ["-p", port]
        if inf:
            argv += ["-inf", inf]
        super().__init__(name, argv, folder, prefix=prefix,
                         env={"TERM": "dumb"})

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        with open(self.template, encoding="utf-8") as file:
            text = file.read()
        for word, value in self.words.items():
            text = text.replace(f"@{word}@", str(value))
        with open(self.scenario, "w", encoding="utf-8") as file:
            file.write(text)
        return super().start()

    def results(self):
        return sipp_final(self.results_path)


def sipp_final(path):
    """The lines that the scenarios log: Call-ID -> {what: seconds}."""
    calls = {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return calls
    for line in lines:
        words = line.split()
        if len(words) >= 4 and words[0] == "at":
            calls.setdefault(words[-1], {})[words[-2]] = float(words[-3])
    return calls
