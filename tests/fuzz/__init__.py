"""Fuzzing: every decoder and every machine, fed with what nobody should send.

``python -m tests.fuzz NAME`` runs one target (see `tests.fuzz.__main__`); a few
thousand inputs for each are part of the tests. With atheris installed its
coverage guides the search; without it the same mutators and targets run by
themselves, so that the tests need nothing more.
"""
