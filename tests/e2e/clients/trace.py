"""Messages and their session descriptions in the log of a client, whatever
stands around them there."""

import re

SDP = re.compile(rb"\r\n\r\n(v=0\r\n(?:[a-z]=[^\r\n]*\r\n)+)")
ACK = re.compile(rb"^ACK sips?:", re.M)
DIRECTION = re.compile(rb"a=(sendrecv|sendonly|recvonly|inactive)\r\n")


def bodies(path):
    """In the order they were seen, sent or received."""
    try:
        with open(path, "rb") as file:
            return SDP.findall(file.read())
    except FileNotFoundError:
        return []


def acks(path):
    """How many were seen, sent or received."""
    try:
        with open(path, "rb") as file:
            return len(ACK.findall(file.read()))
    except FileNotFoundError:
        return 0


def direction(body):
    """Of its last stream; no word is sendrecv."""
    found = DIRECTION.findall(body)
    return found[-1].decode() if found else "sendrecv"


def on_hold(path):
    """What the last two, offer and answer, agree on; None if they do not
    belong together."""
    held = {direction(b) != "sendrecv" for b in bodies(path)[-2:]}
    return held.pop() if len(held) == 1 else None
