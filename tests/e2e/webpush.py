"""Web Push: a phone that is a browser, or speaks UnifiedPush."""

import re

from harness import check, check_equal, poll


def vapid(lab):
    """The mediator's public key, as its log tells it."""
    found = poll(lambda: re.search(r"VAPID public key (\S+)\n",
                                   lab.mediator.log()), 5, "public key")
    return found.group(1)


def subscribe(lab, path="/push/web", **more):
    """As PushSubscription.toJSON() gives it; keys only if it has some."""
    answer = lab.fake.op(op="token", provider="webpush", token=path,
                         vapid=vapid(lab), **more)
    keys = {"keys": {k: answer[k] for k in ("p256dh", "auth")}
            } if "auth" in answer else {}
    return {"use": ["call", "ended", "test"], "provider": "webpush",
            "token": lab.fake.url + path, **keys}


def create(lab, token, user="100"):
    return lab.sipis.api().request("POST", "/v1/instances", {
        "app": "demo", "installation": "browser", "platform": "web",
        "push": [token],
        "account": {"aor": f"sip:{user}@demo.test", "password": f"pw-{user}"}})


def pushes(lab, **match):
    return lab.fake.requests(kind="webpush", **match)


def test_api(lab):
    """The API takes a subscription with its keys; a call arrives as text that
    only the browser opens, its end replaces it, and a subscription that has
    ended is forgotten."""
    lab.kamailio("plain")
    lab.daemons()
    for wrong in ({"token": "https://evil.example/x"},
                  {"keys": {"p256dh": "A" * 87, "auth": "A" * 22}}):
        status, answer = create(lab, {**subscribe(lab), **wrong})
        check_equal(status, 422, f"creation with {wrong}: {answer}")
    status, made = create(lab, subscribe(lab))
    check_equal(status, 201, f"creation: {made}")
    lab.sipis.api().state(made["instance"], made["secret"], "inactive")
    lab.wait_registered()

    caller = lab.caller("canceller.xml", CANCEL_MS=500, REASON="")
    poll(lambda: pushes(lab, use="ended"), 10, "call and its end")
    check_equal(caller.wait(20), 0, "sipp's exit")
    call, end = pushes(lab)
    check_equal((call["use"], call["status"], call["urgency"]),
                ("call", 201, "high"), "the push of the call")
    check_equal((end["status"], end["topic"]), (201, call["topic"]),
                "the end replaces it")
    check_equal(call["topic"], call["call"].replace("-", ""), "topic")

    lab.fake.op(op="token", provider="webpush", token="/push/web",
                state="unregistered")
    caller = lab.caller("canceller.xml", CANCEL_MS=500, REASON="")
    instance = f"/v1/instances/{made['instance']}"
    poll(lambda: lab.sipis.api().get(
        instance, made["secret"])[1]["state"] == "gone", 10, "gone")
    (token,) = lab.sipis.api().get(instance, made["secret"])[1]["push"]
    check_equal((token["provider"], token["gone"]), ("webpush", True), "token")
    check(caller.wait(20) is not None, "sipp's end")
