"""Some mutants for each target, always the same ones; and the tools themselves."""

from __future__ import annotations

from random import Random
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import Malformed
from tests.fuzz.mutate import message, payload, plain_records, records, scramble
from tests.fuzz.oracle import Finding, Watch
from tests.fuzz.registrations import registration
from tests.fuzz.target import CORPUS, Function, Target, targets

TARGETS: Final = targets()


class ShortRunTests(SynchronousTestCase):
    """One test for each target, made below."""

    def fuzz(self, target: Target) -> None:
        watch = Watch(target)
        seeds = target.seeds()
        self.assertTrue(seeds, f"{target.name} has no corpus: run python -m tests.fuzz.corpus_of_conversations")
        with target.session():
            for octets in seeds:
                watch.run(octets)
            for octets in target.mutants(seeds, Random(target.name), target.short):  # noqa: S311  # has to repeat itself
                watch.run(octets)
        self.assertGreaterEqual(watch.runs, target.short)


def _test(target: Target) -> object:
    def test(self: ShortRunTests) -> None:
        self.fuzz(target)

    return test


for _name, _target in TARGETS.items():
    setattr(ShortRunTests, f"test_{_name}", _test(_target))


class CorpusTests(SynchronousTestCase):
    def test_the_corpus_has_a_folder_for_each_target_and_is_small(self) -> None:
        self.assertEqual({folder.name for folder in CORPUS.iterdir()}, set(TARGETS))
        sizes = [file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()]
        self.assertLess(len(sizes), 500)
        self.assertLess(sum(sizes), 500_000)

    def test_what_conversations_say_is_taken_apart_and_put_together_again(self) -> None:
        for name, parse in (
            ("message", message), ("sa", payload), ("record", records), ("records_initiator", plain_records),
            ("node-request", registration), ("agent-request", registration), ("home-reply", registration),
            ("node-reply", registration), ("hop", message),
        ):  # fmt: skip
            for octets in TARGETS[name].seeds():
                parsed = parse(octets)
                if parsed is None:
                    self.fail(f"{name}: {octets.hex()}")
                self.assertEqual(parsed.octets(), octets)
                self.assertGreater(len(list(parsed.lists())), 0)

    def test_mutants_repeat_themselves_and_differ(self) -> None:
        for name in ("message", "responder", "control", "records_responder", "node-request", "answer"):
            target = TARGETS[name]
            once, again = (list(target.mutants(target.seeds(), Random(7), 200)) for _ in range(2))  # noqa: S311  # the same
            self.assertEqual(once, again)
            self.assertGreater(len(set(once)), 150)


class OracleTests(SynchronousTestCase):
    """What must be found is found."""

    def found(self, function: object, why: str) -> None:
        def run(octets: bytes) -> None:
            assert callable(function)
            function(octets)

        watch = Watch(Function("a target", run, scramble, lambda: iter(()), Malformed))
        with self.assertRaises(Finding) as caught:
            watch.run(b"input")
        self.assertIn(why, str(caught.exception))

    def test_other_errors(self) -> None:
        self.found(lambda octets: octets[9], "IndexError")
        self.found(lambda octets: octets.decode("ascii").index("x"), "ValueError")

    def test_typed_errors_pass(self) -> None:
        def run(_octets: bytes) -> None:
            raise Malformed("field", 0, "why")

        Watch(Function("a target", run, scramble, lambda: iter(()), Malformed)).run(b"")

    def test_endless_recursion(self) -> None:
        def recurse(octets: bytes) -> int:
            return recurse(octets) + 1

        self.found(recurse, "recursion")

    def test_slowness(self) -> None:
        self.found(lambda _octets: sum(range(5_000_000)), "took")

    def test_growth(self) -> None:
        kept: list[object] = []

        def keep(_octets: bytes) -> None:
            kept.extend([] for _ in range(20))

        watch = Watch(Function("a target", keep, scramble, lambda: iter(())))
        for number in range(6000):
            watch.run(bytes((number & 0xFF,)))
        self.assertRaises(Finding, watch.finish)
