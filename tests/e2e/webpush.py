"""Web Push: a phone that is a browser, or speaks UnifiedPush."""

import base64
import subprocess
import urllib.parse

from edge import answered, hand, known, metric, site
from handphone import SDP
from harness import check, check_equal, poll


def vapid(lab):
    """The mediator's public key: the last 65 bytes of its DER."""
    der = subprocess.run(
        ["openssl", "pkey", "-in", f"{lab.certs}/vapid.pem", "-pubout",
         "-outform", "DER"], check=True, capture_output=True).stdout
    return base64.urlsafe_b64encode(der[-65:]).rstrip(b"=").decode()


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
    lab.mediator.wait_log(vapid(lab))
    for wrong in ({"token": "https://evil.example/x"},
                  {"keys": {"p256dh": "A" * 87, "auth": "A" * 22}}):
        status, answer = create(lab, {**subscribe(lab), **wrong})
        check_equal(status, 422, f"creation with {wrong}: {answer}")
    status, made = create(lab, subscribe(lab))
    check_equal(status, 201, f"creation: {made}")
    lab.sipis.api().state(made["instance"], made["secret"], "inactive")
    lab.wait_registered()

    lab.gives_up(lambda: pushes(lab, use="call"))
    poll(lambda: pushes(lab, use="ended"), 10, "its end")
    call, end = pushes(lab)
    check_equal((call["use"], call["status"], call["urgency"]),
                ("call", 201, "high"), "the push of the call")
    check_equal((end["status"], end["topic"]), (201, call["topic"]),
                "the end replaces it")
    check_equal(call["topic"], call["call"].replace("-", ""), "topic")

    lab.fake.op(op="token", provider="webpush", token="/push/web",
                state="unregistered")
    instance = f"/v1/instances/{made['instance']}"
    lab.gives_up(lambda: lab.sipis.api().get(
        instance, made["secret"])[1]["state"] == "gone", "gone")
    (token,) = lab.sipis.api().get(instance, made["secret"])[1]["push"]
    check_equal((token["provider"], token["gone"]), ("webpush", True), "token")


def pn(url):
    return f";pn-provider=webpush;pn-prid={urllib.parse.quote(url, safe='')}"


def test_edge(lab):
    """RFC 8599: the edge tells its VAPID key, a REGISTER brings an endpoint,
    and a call wakes the phone by a push without text: the RFC has no keys."""
    key = vapid(lab)
    caps = [f'*;+sip.pns="webpush";+sip.vapid="{key}"']
    site(lab, edge={"push": [{"app": "demo", "webpush": key}]})
    known(lab, "first")
    phone = hand(lab, "browser")
    answer = phone.register(params=";pn-provider=webpush")
    check_equal((answer.status, answer.all("Feature-Caps")), (200, caps),
                "a question")
    for url in ("http://localhost/push/x", "https://evil.example/push/x"):
        answer = phone.register(params=pn(url))
        check_equal(answer.status, 555, url)
    check_equal(len(lab.sipis.account("100")["instances"]), 1, "instances")

    url = subscribe(lab, "/push/sip", keys=False)["token"]
    answer = phone.register(params=pn(url))
    check_equal((answer.status, answer.all("Feature-Caps")), (200, caps),
                "REGISTER")
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "end of the flow")
    caller = lab.caller(HOLD_MS=300)
    poll(lambda: pushes(lab), 5, "push to the browser")
    (push,) = pushes(lab)
    check_equal((push["status"], push["urgency"], push["body"]),
                (201, "high", 0), "push")
    phone.connect()
    check_equal(phone.register(params=pn(url)).status, 200, "awake")
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 200, body=SDP)
    phone.wait_request("ACK")
    phone.reply(phone.wait_request("BYE"), 200)
    answered(lab, caller)
