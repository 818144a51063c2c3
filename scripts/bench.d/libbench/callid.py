"""The id that sipis gives a call (common/ident.h, sipis/call/calls.h):
derived from Call-ID, From tag and the contact that was called, and from that
and the branch.  The bench's caller numbers both in one way:
r7-3@caller.bench has the branch z9hG4bK7-3."""

import hashlib
import re
import uuid


def derive(*parts):
    """RFC 9562 version 8 from SHA-256 over length and text of each part."""
    digest = hashlib.sha256()
    for part in parts:
        text = part.encode()
        digest.update(len(text).to_bytes(8, "big") + text)
    raw = bytearray(digest.digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))


def of(call):
    """Of one line of the caller's dump."""
    contact = re.match(r"sips?:([^@;>]*)@", call["contact"])
    number = call["call_id"].partition("@")[0].removeprefix("r")
    key = derive(call["call_id"], call["from_tag"],
                 contact.group(1) if contact else "")
    return derive(key, "z9hG4bK" + number)
