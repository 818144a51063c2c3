"""Phones whose REGISTER brings their push tokens (RFC 8599): which one is it,
how many may there be, and what if nobody can push."""

import hashlib
import re

from edge import (EDGE, PUSH, Forking, hand, instances, known, metric, pn,
                  site, token_of, tokens_gone)
from handphone import HandPhone, routes_of
from harness import check, check_equal, poll

FULL = 16


class Bare(HandPhone):
    """As RFC 8599's own examples: no +sip.instance, no reg-id."""

    def register_once(self, expires=600, extra="", params="", to=None,
                      tags=""):
        self.cseq += 1
        self.request("REGISTER", f"sip:{self.domain}", f"<{to or self.aor}>",
                     self.call_id, self.cseq, "reg",
                     f"Contact: <{self.where}{params}>;expires={expires}"
                     f"{tags}\r\n{extra}")
        return self.wait_final("REGISTER")


def bare(lab, name):
    phone = Bare(EDGE, "100", "tls", f"{lab.certs}/site-ca.pem", name=name)
    lab.at_end.append(phone.close)
    return phone


def comes(phone, params):
    answer = phone.register(params=params)
    check_equal(answer.status, 200, f"REGISTER: {answer.head}")
    return answer


def invited(*phones):
    for phone in phones:
        phone.reply(phone.wait_request("INVITE"), 180, "Ringing",
                    tag=phone.urn[-8:])


def test_bare(lab):
    """Two phones without +sip.instance are two, by their tokens; each is
    itself again when it comes back, also after a restart of sipis."""
    site(lab, edge=PUSH)
    known(lab, "first")
    phones = [bare(lab, name) for name in ("one", "two")]
    ways = [pn(token_of(lab, name)) for name in ("one", "two")]
    for _ in range(2):
        for phone, way in zip(phones, ways):
            comes(phone, way)
        check_equal(metric(lab, "sipis_edge_bindings"), 2, "bindings")
        for phone in phones:
            phone.close()
        poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "their end")
        check_equal(len(instances(lab)), 3, "instances")
        lab.sipis.stop()
        lab.sipis.start()
        for phone in phones:
            phone.connect()

    lab.wait_registered("100")
    comes(phones[0], ways[0])
    pbx = Forking(lab, "f")
    pbx.say("INVITE", "one")
    invited(phones[0])
    # the API's and the other one
    poll(lambda: len(lab.fake.requests(use="call")) == 2, 5, "pushes")
    comes(phones[1], ways[1])
    invited(phones[1])


def test_bare_changes(lab):
    """A new token in the same registration is the same phone; so is one that
    names no token any more."""
    site(lab, edge=PUSH)
    first = known(lab, "first")["instance"]
    phone = bare(lab, "bare")
    comes(phone, pn(token_of(lab, "old")))
    (old,) = {i["instance"] for i in instances(lab)} - {first}
    comes(phone, pn(token_of(lab, "new")))
    check_equal(metric(lab, "sipis_edge_bindings"), 1, "bindings")
    poll(lambda: tokens_gone(lab, old) == [True], 5, "end of the old token")
    (new,) = {i["instance"] for i in instances(lab)} - {first, old}
    comes(phone, "")
    check_equal(metric(lab, "sipis_edge_bindings"), 1, "bindings")
    poll(lambda: tokens_gone(lab, new) == [True], 5, "end of the new one")
    check_equal(phone.register(expires=0).status, 200, "signing off")
    check_equal(metric(lab, "sipis_edge_bindings"), 0, "bindings")


def test_no_mediator(lab):
    """Nobody can push: the phone is registered all the same, without pushes,
    and enrols with its next REGISTER; it stays the same phone, in its call
    as well."""
    site(lab, edge=PUSH)
    first = known(lab, "first")["instance"]
    lab.mediator.stop()
    poll(lambda: metric(lab, "sipis_mediators_up") in (0, None), 10, "down")
    phone, whole = hand(lab, "late"), pn(token_of(lab, "late"))
    answer = comes(phone, whole)
    check_equal(answer.all("Feature-Caps"), [], "no pushes")
    check("expires=300" in answer.get("Contact"), answer.get("Contact"))
    lab.sipis.wait_log("no pushes for 100@demo.test until it registers again")
    check_equal([i["instance"] for i in instances(lab)], [first], "instances")
    (flow,) = lab.sipis.account("100")["others"]["flows"]
    pbx = Forking(lab, "f")
    pbx.say("INVITE", "one")
    invite = phone.wait_request("INVITE")
    phone.reply(invite, 200)
    answer = pbx.hears("INVITE", 200, "one")

    lab.mediator.start()
    poll(lambda: "+sip.pns" in comes(phone, whole).head, 20, "pushes")
    (mine,) = {i["instance"] for i in instances(lab)} - {first}
    check_equal(mine, flow["phone"], "it is the same phone")
    check_equal(metric(lab, "sipis_edge_bindings"), 1, "bindings")
    routes = "".join(f"Route: {r}\r\n" for r in reversed(routes_of(answer)))
    target = re.search(r"<([^>]+)>", answer.get("Contact")).group(1)
    pbx.hand.request("BYE", target, answer.get("To"), pbx.call_id, 2, "f",
                     routes)
    phone.reply(phone.wait_request("BYE"), 200)
    check_equal(pbx.hand.wait_final("BYE").status, 200, "in its dialog")


def test_keeps_tokens(lab):
    """Without a mediator a known phone keeps the tokens that it has; new ones
    are enrolled as soon as there is one, though nothing else changes."""
    site(lab, edge=PUSH)
    first = known(lab, "first")["instance"]
    phone = hand(lab, "known")
    comes(phone, pn(token_of(lab, "old")))
    (mine,) = {i["instance"] for i in instances(lab)} - {first}
    lab.mediator.stop()
    whole = pn(token_of(lab, "new"))
    check_equal(comes(phone, whole).all("Feature-Caps"), [], "no pushes")
    check_equal(tokens_gone(lab, mine), [False], "the old token")
    lab.mediator.start()
    poll(lambda: "+sip.pns" in comes(phone, whole).head, 20, "pushes")
    phone.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "its end")
    Forking(lab, "f").say("INVITE", "one")
    poll(lambda: len(lab.fake.requests(use="call")) == 2, 5, "pushes")
    mark = hashlib.sha256(token_of(lab, "new").encode()).hexdigest()[:8]
    marks = [r["token"] for r in lab.fake.requests(use="call")]
    check(mark in marks, f"to the new one: {marks}")


def test_reinstalled(lab):
    """An app that is installed anew each time: the longest unseen gives way,
    one whose token is dead before others, never one that is here, nor one of
    the API."""
    site(lab, edge=PUSH)
    first = known(lab, "first")["instance"]

    def install(n):
        phone = hand(lab, f"install{n}")
        before = {i["instance"] for i in instances(lab)}
        comes(phone, pn(token_of(lab, f"install{n}")))
        after = {i["instance"] for i in instances(lab)}
        (mine,) = after - before
        return phone, mine, before - after

    stays, staying, _ = install(0)
    made = []
    for n in range(1, FULL - 1):
        phone, mine, gone = install(n)
        check_equal(gone, set(), f"who gives way to {n}")
        made.append(mine)
        if n != 5:
            phone.close()
            continue
        check_equal(phone.register(expires=0, params=pn(token_of(
            lab, "install5"))).status, 200, "signing off")
        phone.close()
        poll(lambda: tokens_gone(lab, mine) == [True], 5, "its token")
    check_equal(len(instances(lab)), FULL, "the account is full")
    poll(lambda: metric(lab, "sipis_edge_flows") == 1, 5, "one is here")

    dead = made.pop(4)
    for n, goes in enumerate((dead, made[0], made[1]), FULL):
        phone, mine, gone = install(n)
        phone.close()
        check_equal(gone, {goes}, f"who gives way to {n}")
        poll(lambda: metric(lab, "sipis_edge_flows") == 1, 5, "it is away")
    left = {i["instance"] for i in instances(lab)}
    check(first in left and staying in left, "these stay")
    lab.sipis.wait_log(f"{dead} of 100@demo.test gives way")
    check_equal(len(left), FULL, "instances")
    comes(stays, pn(token_of(lab, "install0")))

    # nobody could delete one of them to make room for one of the API
    made_by_api = known(lab, "api")["instance"]
    now = {i["instance"] for i in instances(lab)}
    check_equal(left - now, {made[2]}, "who gives way to the API's")
    check_equal(now - left, {made_by_api}, "who is new")


def test_full(lab):
    """All of them come from the API: one more is registered, without
    pushes."""
    site(lab, edge=PUSH)
    for n in range(FULL):
        known(lab, f"api{n}")
    phone = hand(lab, "more")
    answer = comes(phone, pn(token_of(lab, "more")))
    check_equal(answer.all("Feature-Caps"), [], "no pushes")
    lab.sipis.wait_log("as many phones as it may have")
    check_equal(len(instances(lab)), FULL, "instances")
    Forking(lab, "f").say("INVITE", "one")
    invited(phone)
