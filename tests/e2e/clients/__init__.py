"""Softphones that were never written for sipis, as objects that a test tells
what to do and asks what they see.  Each sits in a network of its own."""

from .baresip import Baresip
from .linphone import Linphone
from .seat import SITE, Seat
from .sipp import SippPhone

__all__ = ["Baresip", "Linphone", "SITE", "Seat", "SippPhone"]
