"""What the benches share.  Standard library only; loads are in C, under
tests/bench."""
