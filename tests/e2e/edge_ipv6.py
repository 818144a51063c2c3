"""Phones that reach the edge over IPv6, while the PBX has IPv4 alone."""

from edge import calls, desk, is_called, known, site
from handphone import HandPhone
from harness import check_equal


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
    is_called(lab, phone, 3)
    calls(phone, desk(lab))


def test_udp(lab):
    both_ways(lab, "udp")


def test_tcp(lab):
    both_ways(lab, "tcp")


def test_tls(lab):
    both_ways(lab, "tls")
