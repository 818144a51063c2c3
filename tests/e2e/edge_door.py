"""Who comes in at the edge, and as whom: REGISTERs that are not the plain one."""

import os
import re
import socket
import ssl
import time

from edge import EDGE, PUSH, UDP, hand, here, instances, known, metric, pn, site
from edge import token_of
from handphone import HandPhone
from harness import check, check_equal, poll
from sip import Caller


def guess(lab, times, address="127.0.0.1", **more):
    """Wrong passwords for an account, from somewhere."""
    phone = HandPhone(UDP, more.pop("user", "100"), "udp", name="guesser",
                      address=address, password="wrong")
    lab.at_end.append(phone.close)
    return [phone.register(**more).status for _ in range(times)]


def get_call(*phones):
    """A call rings at all of these, and is given up."""
    caller = Caller(("127.0.0.1", 5060)).invite()
    invites = [phone.wait_request("INVITE") for phone in phones]
    for phone, invite in zip(phones, invites):
        phone.reply(invite, 180, "Ringing")
    caller.hang_up()
    for phone, invite in zip(phones, invites):
        phone.reply(phone.wait_request("CANCEL"), 200, contact=False)
        phone.reply(invite, 487, "Request Terminated", contact=False)
        phone.wait_request("ACK")


def test_lock_address(lab):
    """Who guesses locks strangers out at its address, and nobody else."""
    site(lab, edge={"bad_secrets_per_min": 5})
    phone = here(lab, "good")
    other = here(lab, "neighbour", user="101", transport="tcp")
    codes = guess(lab, 7)
    check_equal(codes[:4] + codes[-1:], [401] * 4 + [403], "guesses")
    check_equal(phone.register().status, 200, "over its own flow")
    check_equal(other.register().status, 200, "its neighbour")
    phone.close()
    phone.connect()
    check_equal(phone.register().status, 200, "over a new connection")
    check_equal(hand(lab, "new", user="101").register().status, 403,
                "a phone that nobody knows yet")


def test_lock_account(lab):
    """Many guess at one account: its owner gets in all the same."""
    site(lab, edge={"bad_secrets_per_min": 2})
    phone = here(lab, "good")
    codes = [code for n in range(12)
             for code in guess(lab, 2, f"127.0.2.{n + 1}")]
    check(403 in codes, f"the account is locked: {codes}")
    check_equal(guess(lab, 2, "127.0.3.1")[-1], 403,
                "a second guess where one was wrong")
    phone.close()
    phone.address = "127.0.4.1"
    phone.connect()
    check_equal(phone.register().status, 200, "from elsewhere")
    fresh = hand(lab, "fresh", address="127.0.4.2")
    check_equal(fresh.register().status, 200, "a new phone, clean address")


def test_lock_spellings(lab):
    """%31, letters of the domain: one account, one budget."""
    site(lab, edge={"bad_secrets_per_min": 2})
    known(lab, "victim")
    codes = []
    for n in range(48):
        user = "".join(f"%{ord(c):02x}" if n >> i & 1 else c
                       for i, c in enumerate("100"))
        host = "".join(c.upper() if n >> i & 1 else c
                       for i, c in enumerate("demo.test"))
        codes += guess(lab, 2, f"127.0.2.{n + 1}", to=f"sip:{user}@{host}")
    check(20 <= codes.count(401) <= 45, f"looked at: {codes.count(401)}")


def test_spellings(lab):
    """However it is spelled, it is the same account."""
    site(lab)
    known(lab, "mine")
    phone = hand(lab, "mine")
    for to in ("sip:100@Demo.TEST", "sip:%3100@demo.test",
               "sip:1%30%30@DEMO.test"):
        check_equal(phone.register(to=to).status, 200, to)
    check_equal(metric(lab, "sipis_edge_bindings"), 1, "bindings")
    check_equal(phone.register(to="sip:100%00@demo.test").status, 400, "NUL")


def test_pipeline(lab):
    """Hundreds of guesses in one write: the budget is for all of them."""
    site(lab, edge={"bad_secrets_per_min": 5})
    known(lab, "victim")
    phone = here(lab, "mallory", user="101", transport="tcp")
    phone.request("REGISTER", "sip:demo.test", "<sip:100@demo.test>", "brute",
                  1, "b", f"Contact: <{phone.where}>\r\n",
                  source="sip:100@demo.test")
    challenge = phone.wait_final("REGISTER")
    bytes_, phone.send = [], lambda text: bytes_.append(text.encode())
    for turn in range(200):
        phone.password = f"guess{turn}"
        phone.request("REGISTER", "sip:demo.test", "<sip:100@demo.test>",
                      "brute", 2 + turn, "b",
                      f"Contact: <{phone.where}>\r\n" + phone.authorization(
                          challenge, "REGISTER", "sip:demo.test", user="100"),
                      source="sip:100@demo.test")
    del phone.send
    phone.send(b"".join(bytes_))
    codes = [phone.wait_final("REGISTER").status for _ in range(200)]
    check(1 <= codes.count(401) <= 6, f"looked at: {codes.count(401)}")


def raw(phone, contacts, extra=""):
    """A REGISTER with these Contacts, and once more for the challenge."""
    def once(auth=""):
        phone.cseq += 1
        phone.request("REGISTER", f"sip:{phone.domain}", f"<{phone.aor}>",
                      phone.call_id, phone.cseq, "reg",
                      "".join(f"Contact: {c}\r\n" for c in contacts)
                      + extra + auth)
        return phone.wait_final("REGISTER")

    answer = once()
    for _ in range(2):
        if answer.status != 401:
            break
        answer = once(phone.authorization(answer, "REGISTER",
                                          f"sip:{phone.domain}"))
    return answer


def contact(phone, more=";expires=600", reg_id=1, where=None, params=""):
    reg = f";reg-id={reg_id}" if reg_id else ""
    return (f'<{where or phone.where}{params}>;+sip.instance="<{phone.urn}>"'
            f"{reg}{more}")


def test_contacts(lab):
    """What a REGISTER ends and what it begins, in whatever order."""
    site(lab)
    phone = here(lab, "multi")
    old = "sip:100@192.0.2.9:5060"
    for reg_id in (1, 0):
        gone = contact(phone, ";expires=0", reg_id, old)
        new = contact(phone, reg_id=reg_id)
        for both in ([gone, new], [new, gone], [f"{gone}, {new}"]):
            answer = raw(phone, both)
            check_equal(answer.status, 200, f"{both}")
            check(phone.where in answer.get("Contact"), f"{answer.head}")
    check_equal(raw(phone, [contact(phone, ";expires=0")]).status, 200, "off")
    check_equal(raw(phone, [contact(phone, ";expires=0", 0, old)]).status,
                200, "an address that it no longer has")
    check_equal(metric(lab, "sipis_edge_bindings"), 1, "bindings")
    get_call(phone)
    for bad in ([new, "<mailto:me@demo.test>"], ["*", new],
                [contact(phone), contact(phone, where=old)]):
        check_equal(raw(phone, bad).status, 400, f"{bad}")
    check_equal(metric(lab, "sipis_edge_bindings"), 1, "nothing has changed")
    answer = raw(phone, [contact(phone, ";expires=abc", 0)])
    check_equal(answer.status, 200, "expires=abc")
    check("expires=3600" in answer.get("Contact"), answer.head)
    check_equal(raw(phone, [contact(phone, ";expires=0", 0)]).status, 200,
                "off")
    check_equal(metric(lab, "sipis_edge_bindings"), 0, "bindings")


def test_two_flows(lab):
    """A phone that gives one of its flows up is there over the other."""
    site(lab, edge=PUSH)
    token = token_of(lab, "rfc8599")
    known(lab, "dual")
    one, two = hand(lab, "dual"), hand(lab, "dual")
    two.call_id = "other"
    for reg_id, phone in enumerate((one, two), 1):
        check_equal(raw(phone, [contact(phone, reg_id=reg_id,
                                        params=pn(token))]).status, 200,
                    f"flow {reg_id}")
    answer = raw(one, [contact(one, ";expires=0", 1, params=pn(token))])
    check_equal(answer.status, 200, "flow 1 ends")
    get_call(two)
    two.close()
    poll(lambda: metric(lab, "sipis_edge_flows") == 0, 5, "no flow")
    (phone,) = instances(lab)
    check(phone["state"] != "exited", f"{phone}")
    before = len(lab.fake.requests(use="call"))
    lab.gives_up(lambda: len(lab.fake.requests(use="call")) > before)


def plain(phone, expires=600, where=None):
    """A client that does not say which one it is."""
    return raw(phone, [f"<{where or phone.where}>;expires={expires}"])


def nameless(lab, name, transport="tcp", **more):
    phone = hand(lab, name, transport=transport, **more)
    answer = plain(phone)
    check_equal(answer.status, 200, f"REGISTER of {name}: {answer.head}")
    return phone


def test_nameless(lab):
    """Two clients without +sip.instance are two; one that is back is one."""
    site(lab)
    known(lab, "first")
    one, two = nameless(lab, "one"), nameless(lab, "two")
    get_call(one, two)
    for turn in range(3):  # another port, with and without its Call-ID
        one.close()
        one.connect()
        one.call_id = one.call_id if turn else "anew"
        check_equal(plain(one).status, 200, "back")
    two.call_id = "started-anew"
    check_equal(plain(two).status, 200, "over its connection")
    poll(lambda: metric(lab, "sipis_edge_bindings") == 2, 5, "two bindings")
    check_equal(plain(two, 0, "sip:100@192.0.2.9:5060").status, 200, "old")
    check_equal(metric(lab, "sipis_edge_bindings"), 2, "both are there")
    check_equal(plain(two, 0).status, 200, "signing off")
    check_equal(metric(lab, "sipis_edge_bindings"), 1, "one has gone")


def test_nameless_many(lab):
    """Each of a few has its place, and there are no more than these."""
    site(lab)
    known(lab, "first")
    phones = [nameless(lab, f"many-{n}", "udp", address=f"127.0.5.{n + 1}")
              for n in range(9)]
    check_equal(metric(lab, "sipis_edge_bindings"), 8, "bindings")
    fixed = phones[8]
    for turn in range(3):  # it was started anew, and has its port
        fixed.call_id = f"anew-{turn}"
        check_equal(plain(fixed).status, 200, "anew")
    for turn in range(3):  # its network has changed
        phones[7].close()
        phones[7].address = f"127.0.6.{turn + 1}"
        phones[7].connect()
        check_equal(plain(phones[7]).status, 200, "moved")
    check_equal(metric(lab, "sipis_edge_bindings"), 8, "bindings")
    # those of the others are where they were
    check_equal(plain(phones[3], 0).status, 200, "signing off")
    check_equal(metric(lab, "sipis_edge_bindings"), 7, "bindings")


def test_replay(lab):
    """A nonce is for one account at one address, and each answer for once."""
    site(lab)
    known(lab, "victim")
    phone = hand(lab, "victim", transport="udp")
    challenge = phone.register_once()
    mine = phone.authorization(challenge, "REGISTER", "sip:demo.test")
    answer = phone.register_once(extra=mine)
    if answer.status == 401:  # the realm was not known yet
        mine = phone.authorization(answer, "REGISTER", "sip:demo.test")
        answer = phone.register_once(extra=mine)
    check_equal(answer.status, 200, "its own")
    again = phone.register_once(extra=mine)
    check_equal(again.status, 401, "the same answer once more")
    check("stale=true" in again.get("WWW-Authenticate"), again.head)
    check_equal(phone.register().status, 200, "with a new one")
    thief = hand(lab, "thief", transport="udp", password="nothing")
    stolen = phone.authorization(again, "REGISTER", "sip:demo.test")
    check_equal(thief.register_once(extra=stolen).status, 401,
                "one that was not used yet, from another port")
    check_equal(phone.register_once(extra=stolen).status, 200, "its owner's")
    check_equal(metric(lab, "sipis_edge_bindings"), 1, "bindings")


def test_two_answers(lab):
    """Answers for others may stand before the one for us."""
    site(lab)
    phone = here(lab, "two")
    other = ('Authorization: Digest username="100", realm="other.example", '
             'nonce="abc", uri="sip:demo.test", response="' + 32 * "0"
             + '", algorithm=MD5\r\n')
    for before, behind in ((other, ""), ("", other)):
        challenge = phone.register_once()
        mine = phone.authorization(challenge, "REGISTER", "sip:demo.test")
        check_equal(phone.register_once(extra=before + mine + behind).status,
                    200, f"{bool(before)}")


def test_extensions(lab):
    """What a REGISTER wants that is not there is told in the RFCs' words."""
    site(lab)
    phone = here(lab, "wants")
    answer = raw(phone, [contact(phone)], "Require: path, foo, bar\r\n")
    check_equal((answer.status, answer.get("Unsupported")),
                (420, "foo, bar"), "Require")
    check_equal(raw(phone, [contact(phone)], "Require: outbound\r\n").status,
                200, "Require of what is there")
    via = "Via: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKx\r\n"
    ours = "Supported: path, outbound\r\n"
    for extra, status in ((via + ours, 439), (via, 200),
                          (via + ours + "Path: <sip:10.0.0.1;lr;ob>\r\n", 200),
                          (ours, 200)):
        check_equal(raw(phone, [contact(phone)], extra).status, status, extra)
    secure = f"sips:100@{phone.via}"
    check_equal(raw(phone, [contact(phone, where=secure)]).status, 200,
                "sips: over TLS")
    get_call(phone)
    plainly = hand(lab, "wants", transport="tcp")
    check_equal(raw(plainly, [contact(plainly, where=secure)]).status, 400,
                "sips: over TCP")


def test_listed(lab):
    """An answer lists what the account has, its own first, and no token."""
    site(lab, edge=PUSH)
    known(lab, "first")
    one = hand(lab, "one", transport="udp")
    token = token_of(lab, "rfc8599")
    check_equal(raw(one, [contact(one, params=pn(token))]).status, 200, "one")
    two = here(lab, "two", transport="tcp")
    here(lab, "neighbour", user="101")
    answer = two.register()
    listed = answer.all("Contact")
    check_equal(len(listed), 2, f"{listed}")
    check(two.where in listed[0] and one.where in listed[1], f"{listed}")
    check(token not in answer.head, f"{listed}")
    listed = raw(two, []).all("Contact")
    check_equal(len(listed), 2, f"asked for: {listed}")
    left = raw(two, [contact(two, ";expires=0")]).all("Contact")
    check(len(left) == 1 and one.where in left[0], f"after signing off: {left}")


def test_log(lab):
    """Who is refused over and over does not fill the log."""
    site(lab)
    phone = hand(lab, "stranger", transport="udp")
    before, began = metric(lab, "sipis_edge_refused_total"), time.monotonic()
    for turn in range(60):
        phone.request("INVITE", "sip:300@demo.test", "<sip:300@demo.test>",
                      f"call-{turn}", 1, "t")
        check_equal(phone.wait_final("INVITE").status, 403, "INVITE")
    took = time.monotonic() - began
    check_equal(metric(lab, "sipis_edge_refused_total") - before, 60, "403s")
    guess(lab, 1, "127.0.7.1", user="999")
    lab.sipis.wait_log("999@demo.test cannot register")

    def said():
        log = lab.sipis.log()  # which says of a flood that there was more
        return log.count("register first, over this connection") + sum(
            int(n) for n in re.findall(r"(\d+) more lines like: %u from", log))
    poll(lambda: said() >= 25, 10, "word of it")
    # thirty at once, and then one in two seconds
    check(said() <= 31 + took / 2, f"{said()} lines in {took:.1f} s")


def old_tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def strict(version):
    """It trusts what the system trusts."""
    context = ssl.create_default_context()
    context.maximum_version = version
    return context


def shakes(context):
    def speak(conn):
        with context.wrap_socket(conn, server_hostname="localhost",
                                 do_handshake_on_connect=False) as secure:
            try:
                secure.do_handshake()
            except ssl.SSLError:
                # to the end: what is left unread would reset the connection,
                # and overtake our alert
                secure.setblocking(True)
                while os.read(secure.fileno(), 4096):
                    pass
    return speak


def test_tls_failures(lab):
    """A phone whose TLS does not come up: who, and why."""
    site(lab)
    before = metric(lab, "sipis_edge_tls_failed_total")
    here(lab, "good", transport="tls")

    def comes(speak, why):
        with socket.create_connection(EDGE, 5) as conn:
            port = conn.getsockname()[1]
            try:
                speak(conn)
            except ConnectionError:
                pass
        lab.sipis.wait_log(f"TLS of 127.0.0.1:{port} failed: {why}")

    mistrust = "it does not trust our certificate (unknown CA)"
    comes(shakes(strict(ssl.TLSVersion.TLSv1_3)), mistrust)
    comes(shakes(strict(ssl.TLSVersion.TLSv1_2)), mistrust)
    comes(shakes(old_tls()), "it speaks no TLS 1.2 or newer")
    comes(lambda conn: (conn.sendall(b"REGISTER sip:demo.test SIP/2.0\r\n\r\n"),
                        conn.recv(100)), "what it sends is no TLS")
    comes(lambda conn: conn.sendall(b"\x16\x03\x01\x00\x05\x01"),
          "it went away")
    check_equal(metric(lab, "sipis_edge_tls_failed_total") - before, 5,
                "failures counted; the phone that is here is none")
