"""sipp as a phone: it registers, takes a call if one comes, and after a while
calls someone itself.  Debian's sipp knows UDP and TCP."""

import os

from stack import Sipp, poll
from stack.caller import SCENARIOS

MODES = {"udp": "u1", "tcp": "t1"}


class SippPhone(Sipp):
    """to: whom it calls, wait_ms after it has registered."""

    KIND = "sipp"
    BY_ADDRESS = True

    def __init__(self, lab, seat, name, user="100", transport="udp",
                 door=None, to="300", wait_ms=1500):
        self.seat = seat
        called = os.path.join(lab.folder, f"{name}-uas.xml")
        with open(os.path.join(SCENARIOS, "phone-uas.xml"),
                  encoding="utf-8") as file:
            text = file.read().replace("@USER@", user)
        with open(called, "w", encoding="utf-8") as file:
            file.write(text)
        super().__init__(
            lab.folder, "phone-uac.xml", door, user=user,
            address=seat.address, transport=MODES[transport], name=name,
            options=("-oocsf", called), prefix=seat.prefix,
            PASSWORD=f"pw-{user}", TO=to, WAIT_MS=wait_ms)

    def seen(self, what):
        return any(what in call for call in self.results().values())

    def wait_seen(self, what, seconds=15):
        poll(lambda: self.seen(what), seconds, f"{what} of {self.name}")
