"""The dashboard and the rules: each metric in them is one that daemons have, with labels that it has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from twisted.trial.unittest import SynchronousTestCase

from seckex.cli.counters import MEANINGS
from seckex.net.metrics.catalogue import FAMILIES, Family, Type, place_of
from seckex.wire.numbers import Code

FOLDER: Final = Path(__file__).parents[2] / "contrib" / "grafana"
DASHBOARD: Final = FOLDER / "seckex.json"
RULES: Final = FOLDER / "alerts.yml"

_NAME: Final = re.compile(r"\b(?:seckex|process|python)_[a-z0-9_]+")
_SELECTED: Final = re.compile(r"\b([a-z]+_[a-z0-9_]+)\{([^}]*)\}")
_LABEL: Final = re.compile(r'(\w+)(=~|=|!=|!~)"([^"]*)"')
#: What Prometheus adds, or the function of a histogram needs.
_ALWAYS: Final = {"job", "instance", "role", "le"}


def names_of(family: Family) -> Iterator[str]:
    """Yield the names of a metric's samples."""
    if family.type is Type.HISTOGRAM:
        yield from (f"{family.shown}_{part}" for part in ("bucket", "sum", "count"))
    else:
        yield family.shown


BY_NAME: Final = {name: family for family in FAMILIES for name in names_of(family)}


def of_the_process() -> set[str]:
    """Return the names of what every process has."""
    registry = CollectorRegistry()
    collectors = (ProcessCollector(registry=registry), GCCollector(registry))
    return {sample.name for each in collectors for metric in each.collect() for sample in metric.samples}


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def expressions() -> Iterator[str]:
    """Yield every expression of the dashboard and the rules."""
    told = dashboard()
    for panel in told["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (each["query"] for each in told["templating"]["list"] if each["type"] == "query")
    for found in re.finditer(r"expr: (?:>-\n((?: {10}.*\n)+)|(.*))", RULES.read_text()):
        yield found[1] or found[2]


class ExpressionTests(SynchronousTestCase):
    def test_every_metric_exists(self) -> None:
        found = {name for expression in expressions() for name in _NAME.findall(expression)}
        self.assertEqual(found - set(BY_NAME) - of_the_process(), set())
        self.assertGreater(len(found), 40)

    def test_every_label_is_one_of_its_metric(self) -> None:
        checked = 0
        for expression in expressions():
            for name, labels in _SELECTED.findall(expression):
                family = BY_NAME.get(name)
                for label, _, value in _LABEL.findall(labels):
                    if label not in _ALWAYS and family is not None:
                        self.assertEqual(label, family.label, expression)
                        self.assert_some_value(family, value)
                        checked += 1
            for by in re.findall(r"by \(([^)]*)\)", expression):
                known = {BY_NAME[name].label for name in _NAME.findall(expression) if name in BY_NAME}
                self.assertLessEqual({each.strip() for each in by.split(",")}, known | _ALWAYS, expression)
        self.assertGreater(checked, 5)

    def assert_some_value(self, family: Family, pattern: str) -> None:
        """Fail unless each alternative of a pattern is something that the label may be."""
        values = {place_of(name)[1] for name in MEANINGS if place_of(name)[0] is family}
        if family.label == "code":
            values |= {code.label for code in Code}
        if family.shown == "seckex_home_agent_dropped_total":
            values |= {"agent-name", "agent-signature", "domain"}
        for alternative in pattern.split("|"):
            self.assertTrue([each for each in values if re.fullmatch(alternative, each)], (family.name, alternative))

    def test_the_check_can_fail(self) -> None:
        self.assertNotIn("seckex_no_such_total", BY_NAME)
        [family] = [each for each in FAMILIES if each.name == "dropped"]
        self.assertRaises(self.failureException, self.assert_some_value, family, "no-such-reason")


class DashboardTests(SynchronousTestCase):
    def test_it_is_chosen_by_job_instance_and_role(self) -> None:
        names = [each["name"] for each in dashboard()["templating"]["list"]]
        self.assertEqual(names, ["datasource", "job", "instance", "role"])
        for panel in dashboard()["panels"]:
            for target in panel.get("targets", ()):
                if "seckex_" in target["expr"]:
                    self.assertIn('job=~"$job",instance=~"$instance",role=~"$role"', target["expr"])

    def test_panels_have_numbers_of_their_own_and_do_not_overlap(self) -> None:
        panels = dashboard()["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            place = panel["gridPos"]
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            self.assertEqual(cells & taken, set(), panel["title"])
            self.assertLessEqual(place["x"] + place["w"], 24)
            taken |= cells

    def test_every_role_has_a_part(self) -> None:
        titles = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
        for title in ("Foreign agents", "Home agents", "Key distribution centers", "Mobile nodes"):
            self.assertIn(title, titles)
