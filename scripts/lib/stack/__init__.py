"""The parts of a set-up as objects: what scripts/run shows, tests/e2e tests
and the benches measure.  Standard library only."""

from .caller import Sipp, sipp_final
from .config import yaml_text
from .daemons import Api, Mediator, Sipis
from .fakes import DemoPhone, FakePns
from .hops import call_hops, hops_text, missing
from .kamailio import Kamailio
from .proc import DeadlineError, Proc, free_port, poll

__all__ = [
    "Api", "DeadlineError", "DemoPhone", "FakePns", "Kamailio", "Mediator",
    "Proc", "Sipis", "Sipp", "call_hops", "free_port", "hops_text",
    "missing", "poll", "sipp_final", "yaml_text",
]
