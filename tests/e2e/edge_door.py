"""Who comes in at the edge, and as whom: REGISTERs that are not the plain one."""

from edge import UDP, hand, here, known, metric, site
from handphone import HandPhone
from harness import check, check_equal


def guess(lab, times, address="127.0.0.1", **more):
    """Wrong passwords for an account, from somewhere."""
    phone = HandPhone(UDP, more.pop("user", "100"), "udp", name="guesser",
                      address=address, password="wrong")
    lab.at_end.append(phone.close)
    return [phone.register(**more).status for _ in range(times)]


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
