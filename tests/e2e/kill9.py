"""kill -9 of either daemon at random moments during 1,000 calls.

No acknowledged account is lost, and every call that is still within its time
gets its push and its final answer.
"""

import os
import random
import sqlite3
import subprocess
import threading

from harness import check, check_equal, poll
from stack import DeadlineError
from stack.fakes import hex_token

CALLS, RATE, PHONES, WAKE_S = 1000, 25, 40, 6
SEED = int(os.environ.get("KILL9_SEED", "0")) or random.randrange(1, 10**6)


class Creator(threading.Thread):
    """Makes accounts all the time and keeps what was acknowledged."""

    def __init__(self, lab, first):
        super().__init__(daemon=True)
        self.lab, self.number = lab, first
        self.acknowledged = {}
        self.over = threading.Event()

    def run(self):
        api = self.lab.sipis.api()
        while not self.over.wait(0.02):
            user = str(self.number)
            status, answer = api.create(user, f"phone-{user}",
                                        hex_token(user).split(",")[0])
            if status == 201:
                self.acknowledged[user] = (answer["instance"],
                                           answer["secret"])
                self.number += 1


def asleep(lab):
    """Phones that were made before, all of them in the dark."""
    api = lab.sipis.api()
    for number in range(PHONES):
        user = str(300 + number)
        token = hex_token(user).split(",")[0]
        lab.fake.token(token)
        status, answer = api.create(user, f"phone-{user}", token)
        check_equal(status, 201, f"POST for {user}: {answer}")
        status, answer = api.state(answer["instance"], answer["secret"],
                                   "inactive")
        check_equal(status, 200, f"inactive for {user}: {answer}")
    wanted = {str(300 + n) for n in range(PHONES)}
    poll(lambda: wanted <= lab.pbx.users(), 20, "all bindings", 0.2)


def users_file(lab):
    path = os.path.join(lab.folder, "users.csv")
    with open(path, "w", encoding="ascii") as file:
        file.write("SEQUENTIAL\n")
        for number in range(PHONES):
            file.write(f"{300 + number};\n")
    return path


def killing(lab, caller, dice):
    """Until the callers are through: kill one daemon, start it at once,
    wait for a random share of the calls."""
    kills = {"sipis": 0, "mediator": 0}
    while caller.running():
        victim = dice.choice((lab.sipis, lab.mediator, lab.second))
        victim.kill()
        kills["sipis" if victim is lab.sipis else "mediator"] += 1
        victim.start()
        goal = len(caller.results()) + dice.randrange(20, 80)
        try:
            poll(lambda: len(caller.results()) >= goal or
                 not caller.running(), 15, "further calls", 0.05)
        except DeadlineError:
            pass
    return kills


def test_thousand_calls(lab):
    print(f"seed {SEED} (KILL9_SEED repeats it)", flush=True)
    dice = random.Random(SEED)
    lab.kamailio()
    lab.fake_pns(options=("--accept-any-token",))
    lab.add_mediator()
    lab.second = lab.add_mediator(name="mediator2", port=24999,
                                  admin_port=24991)
    lab.add_sipis(mediators=("127.0.0.1:24998", "127.0.0.1:24999"),
                  pbx={"wake_timeout_s": WAKE_S, "register_rate": 1000})
    asleep(lab)
    creator = Creator(lab, 5000)
    creator.start()
    caller = lab.caller("caller-file.xml", calls=CALLS, rate=RATE,
                        inf=users_file(lab))
    kills = killing(lab, caller, dice)
    creator.over.set()
    creator.join(30)
    check_equal(caller.wait(60), 0, f"sipp's exit\n{caller.tail()}")
    print(f"killed {kills}, {len(creator.acknowledged)} accounts made",
          flush=True)
    check(min(kills.values()) >= 1, f"kills: {kills}")
    check_calls(lab, caller.results())
    check_accounts(lab, creator.acknowledged)
    check_stores(lab)


def check_calls(lab, results):
    check_equal(len(results), CALLS, "calls")
    slow = {call: r for call, r in results.items()
            if "480" not in r or r["480"] - r["invite"] > WAKE_S + 3}
    check(not slow, f"calls without an answer in time: {len(slow)}, as "
          f"{list(slow.items())[:5]}")
    pushed = {p["call"] for p in lab.fake.requests(use="call", status=200)}
    late = [p for p in lab.fake.requests(use="call") if p["late"]]
    print(f"{len(pushed)} calls pushed, "
          f"{lab.fake.counters()['duplicates_call']} pushed again",
          flush=True)
    check_equal(late, [], "late pushes")
    check_equal(len(pushed), CALLS, "calls with an accepted push")


def check_accounts(lab, acknowledged):
    check(acknowledged, "accounts were made during the run")
    api = lab.sipis.api()
    lost = [user for user, (instance, secret) in acknowledged.items()
            if api.get(f"/v1/instances/{instance}", secret)[0] != 200]
    check_equal(lost, [], "acknowledged accounts that are lost")


def check_stores(lab):
    lab.sipis.stop()
    found = subprocess.run(["find", lab.folder, "-name", "*.db"],
                           capture_output=True, text=True, check=True)
    paths = found.stdout.split()
    check(paths, "a store")
    for path in paths:
        with sqlite3.connect(path) as db:
            (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
            check_equal(verdict, "ok", f"integrity of {path}")
