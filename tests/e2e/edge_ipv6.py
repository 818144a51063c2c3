"""Phones that reach the edge over IPv6, while the PBX has IPv4 alone."""

from edge import answered, desk, known, site
from handphone import SDP, Call, HandPhone, routes_of
from harness import check, check_equal


def there(lab, transport):
    site(lab, edge={"listen": ["udp:[::1]:5072", "tcp:[::1]:5072",
                               "tls:[::1]:5071"]})
    known(lab, "six")
    port = 5071 if transport == "tls" else 5072
    phone = HandPhone(("::1", port), "100", transport,
                      f"{lab.certs}/site-ca.pem", name="six")
    lab.at_end.append(phone.close)
    answer = phone.register()
    check_equal(answer.status, 200, f"REGISTER: {answer.head}")
    return phone


def both_ways(lab, transport):
    phone = there(lab, transport)
    caller = lab.caller(HOLD_MS=20000)
    invite = phone.wait_request("INVITE")
    check(any("[::1]" in route or "localhost" in route
              for route in routes_of(invite)), f"{routes_of(invite)}")
    phone.reply(invite, 180, "Ringing")
    phone.reply(invite, 200, body=SDP)
    phone.wait_request("ACK")
    phone.in_dialog(invite, "BYE", 1)
    check_equal(phone.wait_final("BYE").status, 200, "BYE of the phone")
    answered(lab, caller)
    check_equal(lab.fake.requests(use="call"), [], "pushes")

    other = desk(lab)
    call = Call(phone, "300")
    check_equal(call.begin().status, 407, "the PBX's own challenge")
    came = other.wait_request("INVITE")
    other.reply(came, 200, body=SDP)
    check_equal(call.final().status, 200, "answer")
    other.wait_request("ACK")
    other.in_dialog(came, "BYE", 1)
    phone.reply(phone.wait_request("BYE"), 200)
    check_equal(other.wait_final("BYE").status, 200, "BYE of the other end")


def test_udp(lab):
    both_ways(lab, "udp")


def test_tcp(lab):
    both_ways(lab, "tcp")


def test_tls(lab):
    both_ways(lab, "tls")
