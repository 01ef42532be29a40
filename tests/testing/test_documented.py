"""The example of docs/programs.md is a test, and passes; broken, it fails."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.trial.reporter import TestResult
from twisted.trial.unittest import SynchronousTestCase, TestSuite

PAGE = Path(__file__).parent.parent.parent / "docs" / "programs.md"


class ExampleTests(SynchronousTestCase):
    def run_example(self, text: str) -> TestResult:
        names: dict[str, Any] = {"__name__": "example"}
        exec(compile(text, str(PAGE), "exec"), names)  # noqa: S102  # the page's own example
        case = names["DeskTests"]
        result = TestResult()
        TestSuite([case(name) for name in vars(case) if name.startswith("test_")]).run(result)
        return result

    def setUp(self) -> None:
        section = PAGE.read_text(encoding="utf-8").partition("\n## In tests\n")[2]
        found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
        self.example = found[1] if found else ""

    def test_it_passes(self) -> None:
        result = self.run_example(self.example)
        self.assertEqual((result.testsRun, result.wasSuccessful()), (3, True), [*result.errors, *result.failures])

    def test_it_can_fail(self) -> None:
        result = self.run_example(self.example.replace('b"bill for "', 'b"invoice for "'))
        self.assertFalse(result.wasSuccessful())
