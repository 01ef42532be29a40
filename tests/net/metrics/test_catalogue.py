"""Names, types and labels of metrics: stable, documented, complete, and of nobody."""

from __future__ import annotations

import re
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from seckex import __version__
from seckex.cli.counters import MEANINGS
from seckex.net.metrics import catalogue
from seckex.net.metrics.catalogue import FAMILIES, OTHERS, Type, place_of
from seckex.net.metrics.health import CHECKS
from seckex.net.metrics.serving import Shown
from seckex.node.histogram import Histogram
from tests.net.metrics.parts import Told
from tests.test_docs import DOCS, quoted, rows

#: Labels whose values are words of the program.
LABELS: Final = {
    "", "awaiting", "by", "cause", "check", "code", "counter", "direction", "event", "outcome", "reason", "state",
    "table", "version",
}  # fmt: skip


class CatalogueTests(SynchronousTestCase):
    def test_every_counter_has_a_metric_of_its_own(self) -> None:
        self.assertEqual([name for name in MEANINGS if place_of(name)[0] is OTHERS], [])

    def test_counters_that_count_what_is_there_now_are_gauges(self) -> None:
        sizes = {name for name in MEANINGS if name.endswith((".open", ".kept", ".totals", "-waiting", ".sources"))}
        self.assertTrue(sizes)
        for name in sizes | {"associations", "half-open", "kdc.principals", "hops.made", "dialogs.detached"}:
            self.assertIs(place_of(name)[0].type, Type.GAUGE, name)
        for name in ("dropped.replay", "links.lost", "kdc.issued", "mobile-node.moves", "hops.opened"):
            self.assertIs(place_of(name)[0].type, Type.COUNTER, name)

    def test_what_nobody_has_thought_of_is_told_too(self) -> None:
        self.assertEqual(place_of("brand.new"), (OTHERS, "brand.new"))

    def test_labels_are_what_follows_or_what_was_said(self) -> None:
        self.assertEqual(place_of("dropped.unknown-key0")[1], "unknown-key0")
        self.assertEqual(place_of("links.refused")[0].shown, "seckex_links_turned_away_total")
        self.assertEqual(place_of("links.lost")[1], "lost")
        self.assertEqual(place_of("gate.cookies-asked")[1], "asked")
        self.assertEqual(place_of("associations"), (place_of("associations")[0], ""))

    def test_names_and_labels_are_well_formed_and_no_identity(self) -> None:
        self.assertEqual(len({family.name for family in FAMILIES}), len(FAMILIES))
        for family in FAMILIES:
            self.assertRegex(family.shown, r"^seckex_[a-z0-9_]+$")
            self.assertIn(family.label, LABELS, family.name)
            self.assertTrue(family.what.endswith("."), family.what)
            if family.type is not Type.COUNTER:
                self.assertFalse(family.shown.endswith(("_total", "_count", "_sum", "_bucket")), family.shown)
        sources = [name for family in FAMILIES for name in family.sources]
        self.assertEqual(len(sources), len(set(sources)))

    def test_no_two_counters_are_the_same_sample(self) -> None:
        places = [place_of(name) for name in MEANINGS]
        self.assertEqual(len(places), len(set(places)))


class DocumentTests(SynchronousTestCase):
    def test_every_metric_is_documented_with_its_type_and_label(self) -> None:
        table = [row for row in rows(DOCS / "operations.md", "Metrics") if len(row) == 4]
        documented = {quoted(name)[0]: (kind, "".join(quoted(label)), what) for name, kind, label, what in table}
        expected = {family.shown: (family.type.value, family.label, family.what) for family in FAMILIES}
        self.assertEqual(documented, expected)

    def test_every_check_and_path_is_documented(self) -> None:
        table = [row for row in rows(DOCS / "operations.md", "Metrics") if len(row) == 2]
        documented = {quoted(name)[0]: what for name, what in table}
        paths = {"/metrics", "/livez", "/readyz"}
        self.assertEqual(set(documented), set(CHECKS) | paths)
        self.assertEqual({name: what for name, what in documented.items() if name in CHECKS}, dict(CHECKS))


class ShownTests(SynchronousTestCase):
    def scraped(self, told: Told) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """Return every sample of a scrape, by its name and its labels but for the role."""
        registry = CollectorRegistry()
        registry.register(Shown(told.gathering.gather()))
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(generate_latest(registry).decode()):
            self.assertTrue(family.documentation, family.name)
            for sample in family.samples:
                labels = dict(sample.labels)
                self.assertEqual(labels.pop("role"), told.gathering.source.role)
                self.assertNotIn(tuple(labels.items()), found.get(sample.name, {}))
                found.setdefault(sample.name, {})[tuple(labels.items())] = sample.value
        return found

    def test_every_counter_is_scraped_with_its_number(self) -> None:
        told = Told(counters={name: place for place, name in enumerate(MEANINGS, start=1)})
        found = self.scraped(told)
        for name, number in told.counters.items():
            family, label = place_of(name)
            labels = ((family.label, label),) if family.label else ()
            self.assertEqual(found[family.shown][labels], number, name)
        self.assertNotIn(OTHERS.shown, found)

    def test_what_is_no_counter(self) -> None:
        told = Told("kdc")
        told.measured[catalogue.ISSUE] = histogram = observed(0.003, 7.0)
        told.lag = 0.25
        found = self.scraped(told)
        self.assertEqual(found["seckex_info"], {(("version", __version__),): 1.0})
        self.assertEqual(found["seckex_start_time_seconds"], {(): 1234.5})
        self.assertEqual(found["seckex_reactor_lag_seconds"], {(): 0.25})
        self.assertEqual(found["seckex_link_octets_total"], {(("direction", way),): 0.0 for way in ("in", "out")})
        buckets = found["seckex_kdc_issue_seconds_bucket"]
        self.assertEqual(buckets[(("le", "0.0025"),)], 0)
        self.assertEqual(buckets[(("le", "0.005"),)], 1)
        self.assertEqual(buckets[(("le", "+Inf"),)], 2)
        self.assertEqual(found["seckex_kdc_issue_seconds_count"], {(): 2.0})
        self.assertAlmostEqual(found["seckex_kdc_issue_seconds_sum"][()], histogram.total)
        self.assertNotIn("seckex_registration_seconds_count", found)
        self.assertIn("seckex_registration_seconds_count", self.scraped(Told("initiator")))

    def test_openmetrics_takes_the_names_too(self) -> None:
        registry = CollectorRegistry()
        registry.register(Shown(Told(counters=dict.fromkeys(MEANINGS, 1)).gathering.gather()))
        told: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]  # it has no types
        lines = told.decode().splitlines()
        self.assertEqual(lines[-1], "# EOF")
        kinds = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
        for family in FAMILIES:
            name = re.sub("_total$", "", family.shown)
            if name in kinds:
                self.assertEqual(kinds[name], family.type.value)


def observed(*values: float) -> Histogram:
    """Return a histogram of values."""
    made = Histogram()
    for value in values:
        made.observe(value)
    return made
