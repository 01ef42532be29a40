"""The sample files: they work as they are, and show every setting with its default."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import attrs
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.load import AnySettings, load_any, read_settings
from seckex.config.structure import file_key
from tests.config.written import key0_text, write_credentials, write_private

CONF = Path(__file__).parents[2] / "conf"
SAMPLES = {
    "initiator.toml": "initiator",
    "responder.toml": "responder",
    "home-agent.toml": "responder",
    "agent.toml": "agent",
    "kdc.toml": "kdc",
}


def uncommented(text: str) -> str:
    """Return a sample with the settings that it shows at their defaults made to stand."""
    return re.sub(r"(?m)^#(?=[a-z\[])", "", text)


def settings_of(kind: Any) -> list[type[Any]]:
    """Return the classes of settings in a type, however deep."""
    if isinstance(kind, type) and attrs.has(kind):
        return [kind]
    return [found for inner in get_args(kind) for found in settings_of(inner)]


def shown_in(table: Any, cls: type[Any], path: str) -> list[str]:
    """Return the settings of ``cls`` that ``table`` lacks."""
    missing = []
    attrs.resolve_types(cls)
    for field in attrs.fields(cls):
        key = file_key(field.name)
        if field.default is None and settings_of(field.type) and key not in table:
            # A section that there need not be.
            continue
        if key not in table:
            missing.append(f"{path}{key}")
            continue
        for inner in settings_of(field.type):
            below = table[key]
            if below in ({}, []):
                continue
            one = below[0] if isinstance(below, list) else below
            if inner.__name__ == "Service":
                one = next(iter(below.values()))
            if inner.__module__.startswith("seckex.config"):
                missing += shown_in(one, inner, f"{path}{key}.")
    return missing


class SampleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.patch(os, "environ", {"HOME": "/home/op"})
        write_private(self.directory / "key0.toml", key0_text())
        write_credentials(self.directory, "kdc", "kdc@example.org")
        write_credentials(self.directory, "agent", "agent@visited.example")
        write_credentials(self.directory, "home", "home@example.org")
        for name in SAMPLES:
            text = (CONF / name).read_text()
            (self.directory / name).write_text(text)
            (self.directory / f"full-{name}").write_text(uncommented(text))

    def settings(self, name: str) -> AnySettings:
        return load_any(self.directory / name).settings

    def test_they_work_as_they_are(self) -> None:
        self.assertEqual({name: self.settings(name).role for name in SAMPLES}, SAMPLES)

    def test_every_setting_is_shown(self) -> None:
        for name in SAMPLES:
            raw = tomllib.loads((self.directory / f"full-{name}").read_text())
            self.assertEqual(shown_in(raw, type(self.settings(name)), ""), [])

    def test_what_is_shown_as_a_default_is_one(self) -> None:
        for name in SAMPLES:
            self.assertEqual(self.settings(f"full-{name}"), self.settings(name))

    def test_the_check_can_fail(self) -> None:
        name = "responder.toml"
        full = (self.directory / f"full-{name}").read_text()
        raw = tomllib.loads(full)
        del raw["limits"]["clock-window"], raw["policy"]["proposals"][0]["prf"]
        self.assertEqual(shown_in(raw, type(self.settings(name)), ""), ["policy.proposals.prf", "limits.clock-window"])
        (self.directory / "other.toml").write_text(full.replace("half-open = 1024", "half-open = 1"))
        self.assertNotEqual(self.settings("other.toml"), self.settings(name))

    def test_they_can_be_read_where_they_lie(self) -> None:
        for name in SAMPLES:
            read_settings(CONF / name)
