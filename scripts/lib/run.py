"""What scripts/run shows once everything is built."""

import argparse
import os
import select
import signal
import socket
import sys
import time

from stack import (
    DeadlineError, DemoPhone, FakePns, Kamailio, Mediator, Sipis, Sipp,
    call_hops, hops_text, missing, poll)

PORTS = {
    "pbx": 15060, "pbx-tls": 15061, "sip": 15070, "api": 18443,
    "admin": 18480, "mediator": 24998, "mediator-admin": 24990,
    "push": 18444, "push-control": 18445,
}


class Stop(Exception):
    """Ctrl-C, or a polite kill."""


def arguments(argv):
    parser = argparse.ArgumentParser(prog="scripts/run", add_help=False)
    parser.add_argument("top")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--no-deps", action="store_true")
    parser.add_argument("--transport", choices=("udp", "tcp", "tls"),
                        default="tls", help="sipis and the app at the PBX")
    for name, port in PORTS.items():
        key = f"SIPIS_RUN_{name.replace('-', '_').upper()}_PORT"
        parser.add_argument(f"--{name}-port", type=int,
                            default=int(os.environ.get(key, port)))
    return parser.parse_args(argv)


def taken(port):
    """Is the port in use, by TCP or UDP?"""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                return True
    return False


def check_ports(args):
    for name in PORTS:
        port = getattr(args, f"{name.replace('-', '_')}_port")
        if taken(port):
            sys.exit(f"scripts/run: port {port} is in use; give another "
                     f"with --{name}-port N")


class Demo:
    def __init__(self, args):
        self.args = args
        self.parts = []
        top, folder = args.top, os.path.join(args.top, "run")
        build, certs = os.path.join(top, "build"), f"{folder}/certs"
        pbx_port = args.pbx_tls_port if args.transport == "tls" \
            else args.pbx_port
        self.folder, self.build = folder, build
        self.pbx = Kamailio(folder, certs, port=args.pbx_port,
                            tls_port=args.pbx_tls_port,
                            defines=["WITH_MEMORY"])
        self.fake = FakePns(build, folder, certs, port=args.push_port,
                            control=args.push_control_port)
        self.mediator = Mediator(build, folder, certs, args.push_port,
                                 port=args.mediator_port,
                                 admin_port=args.mediator_admin_port)
        self.sipis = Sipis(build, folder, certs,
                           [f"127.0.0.1:{args.mediator_port}"],
                           f"127.0.0.1:{pbx_port}", transport=args.transport,
                           api_port=args.api_port, sip_port=args.sip_port,
                           admin_port=args.admin_port)
        self.phone = DemoPhone(
            build, folder, certs, args.api_port, args.push_control_port,
            f"sip:127.0.0.1:{pbx_port};transport={args.transport}",
            options=["--wake-delay", "300"])
        self.callers = 0

    def start(self, what, part):
        begin = time.monotonic()
        print(f"  {what:<46}", end="", flush=True)
        self.parts.append(part)
        if os.path.exists(part.log_path):
            os.replace(part.log_path, f"{part.log_path}.old")
        part.start()
        print(f"ready in {1000 * (time.monotonic() - begin):5.0f} ms",
              flush=True)

    def start_all(self):
        args = self.args
        for path in (self.phone.steps_path, self.fake.requests_path):
            if os.path.exists(path):
                os.replace(path, f"{path}.old")
        self.start(f"Kamailio with TSILO, 127.0.0.1:{args.pbx_port}",
                   self.pbx)
        self.start(f"fake push services, localhost:{args.push_port}",
                   self.fake)
        self.start(f"mediator, 127.0.0.1:{args.mediator_port}",
                   self.mediator)
        self.start(f"sipis, https://localhost:{args.api_port}", self.sipis)
        self.start("demo phone, sip:100@demo.test, falls asleep", self.phone)
        poll(lambda: self.pbx.contacts("100"), 20,
             "registration of sipis at the PBX for sip:100@demo.test")

    def call(self):
        """One call; the lines of its timeline, and what is missing."""
        self.callers += 1
        known = {c["call"] for c in self.sipis.calls()}
        caller = Sipp(self.folder, "caller-auth.xml",
                      f"127.0.0.1:{self.args.pbx_port}",
                      address="127.0.0.1", name=f"caller{self.callers}",
                      HOLD_MS=1000)
        self.parts.append(caller)
        caller.start()
        call = poll(lambda: next(
            (c["call"] for c in self.sipis.calls()
             if c["call"] not in known), None), 10, "INVITE at sipis")
        caller.wait(60)
        self.parts.remove(caller)
        try:
            poll(lambda: not missing(self.hops(call)), 5, "complete timeline")
        except DeadlineError:
            pass
        return call, self.hops(call)

    def hops(self, call):
        return call_hops(call, self.sipis, self.fake, self.phone)

    def show_call(self):
        print("\nsipp calls sip:100@demo.test; the phone sleeps.\n",
              flush=True)
        call, hops = self.call()
        print(f"call {call}\n{hops_text(hops)}\n", flush=True)
        lost = missing(hops)
        if lost:
            print(f"NOT SEEN: {', '.join(lost)}; the logs are in "
                  f"{self.folder}", flush=True)
        return call, not lost

    def next_steps(self, call):
        ctl = f"build/sipis/sipisctl --admin 127.0.0.1:{self.args.admin_port}"
        ca = "run/certs/site-ca.pem"
        print(f"""Everything keeps running.  Try this next:
  {ctl} call {call[:6]}
  {ctl} status
  curl --cacert {ca} https://localhost:{self.args.api_port}/healthz
  curl http://127.0.0.1:{self.args.admin_port}/metrics
  less run/sipis.yaml run/mediator.yaml run/sipis.log run/mediator.log
Enter makes another call; Ctrl-C ends what this script started.""",
              flush=True)

    def watch(self):
        """Until Ctrl-C; Enter calls again, as long as somebody types."""
        keyboard = [sys.stdin]
        while True:
            ready, _, _ = select.select(keyboard, [], [], 1)
            for part in self.parts:
                if not part.running():
                    raise DeadlineError(f"{part.name} ended by itself with "
                                        f"{part.popen.returncode}\n"
                                        f"{part.tail()}")
            if not ready:
                continue
            if not sys.stdin.readline():
                keyboard = []
            elif self.phone.steps("asleep"):
                self.show_call()

    def stop(self):
        for part in reversed(self.parts):
            part.stop()


def stop_handler(_signal, _frame):
    raise Stop


def show(demo, once):
    demo.start_all()
    call, complete = demo.show_call()
    if once:
        return 0 if complete else 1
    demo.next_steps(call)
    demo.watch()
    return 0


def main(argv):
    args = arguments(argv)
    check_ports(args)
    signal.signal(signal.SIGTERM, stop_handler)
    signal.signal(signal.SIGINT, stop_handler)
    demo = Demo(args)
    print("Starting", flush=True)
    try:
        code = show(demo, args.once)
    except Stop:
        print("\nStopping", flush=True)
        code = 1 if args.once else 0
    except DeadlineError as err:
        print(f"\nscripts/run: {err}", file=sys.stderr)
        code = 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        demo.stop()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
