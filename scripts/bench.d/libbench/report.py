"""key: value lines, and what makes a bench fail."""

import sys


class Report:
    """keys: what the bench prints, in that order and nothing else; what is
    known beyond stands before them as notes.  Without keys all that was put,
    in the order it was, ratios last."""

    def __init__(self, keys=None):
        self.keys = keys
        self.values = {}
        self.faults = []

    def put(self, key, value):
        self.values[key] = value
        return value

    def load(self, text):
        """What was asked of both sides; a figure means nothing without."""
        print(f"load: {text}", flush=True)

    def setting(self, text):
        """A limit that this load needed raised."""
        print(f"setting: {text}", flush=True)

    def note(self, text):
        print(f"# {text}", flush=True)

    def check(self, fine, text):
        """The sanity check: anything lost fails the bench."""
        if not fine:
            self.faults.append(text)
            print(f"# FAULT {text}", flush=True)

    def ratio(self, key, over, under):
        a, b = self.values.get(over), self.values.get(under)
        if a is not None and b:
            self.values[key] = a / b

    def results(self):
        """The keys that have a value, in order."""
        if self.keys:
            return [k for k in self.keys if k in self.values]
        return sorted(self.values, key=lambda k: k.startswith("ratio_"))

    def finish(self):
        results = self.results()
        for key, value in self.values.items():
            if key not in results:
                self.note(f"{key}: {show(value)}")
        missing = [k for k in self.keys or () if k not in self.values]
        if missing:
            self.note(f"not measured: {', '.join(missing)}")
        for key in results:
            print(f"{key}: {show(self.values[key])}")
        sys.stdout.flush()
        for fault in self.faults:
            print(f"bench: {fault}", file=sys.stderr)
        sys.exit(1 if self.faults else 0)


def show(value):
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return str(value)
