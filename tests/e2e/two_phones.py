"""Two phones of one account ring; one answers, the other is told."""

from harness import check, check_equal, poll


def test_second_wakes_too_late(lab):
    """The slow phone finds a tombstone and gets an ended push, which is
    never a VoIP push."""
    lab.kamailio()
    lab.daemons()
    lab.phone("fast", options=("--answer-after", "100"))
    slow = lab.phone("slow", options=("--wake-delay", "4000"))
    lab.wait_registered()
    check_equal(len(lab.sipis.account("100")["instances"]), 2, "instances")
    caller = lab.caller(HOLD_MS=5000)
    call = lab.newest_call()
    poll(lambda: lab.fake.requests(call=call, use="ended"), 10, "ended push")
    check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
    for push in lab.fake.requests(use="ended"):
        check(push.get("push_type") != "voip", f"ended push by VoIP: {push}")
    check(lab.sipis.call(call)["ended"] in
          ("handed", "answered_elsewhere"), "the call's end")
    check_equal(slow.tombstone(lab.sipis, call), "answered_elsewhere",
                "what the slow phone's app reads")
    check_equal(len(lab.fake.requests(use="call", status=200)), 2, "pushes")
    check_equal(lab.fake.counters()["voip_misused"], 0, "VoIP misuse")


def test_both_ring(lab):
    """Both have the INVITE; the PBX tells the one that lost."""
    lab.kamailio()
    lab.daemons()
    winner = lab.phone("winner", options=("--answer-after", "1500"))
    loser = lab.phone("loser", options=("--ring-only",))
    lab.wait_registered()
    caller = lab.caller(HOLD_MS=300)
    check_equal(caller.wait(30), 0, f"sipp's exit\n{caller.tail()}")
    check_equal(winner.wait_step("ended")["outcome"], "answered", "winner")
    check_equal(loser.wait_step("ended")["outcome"], "cancelled", "loser")
    check("200" in str(loser.wait_step("cancel").get("reason")),
          "the loser's CANCEL says that it was answered elsewhere")
