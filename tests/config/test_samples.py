"""The sample files: they work as they are, and show every setting with its default."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any, get_args

import attrs
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.agent import AgentSettings
from seckex.config.common import pattern_of
from seckex.config.initiator import InitiatorSettings
from seckex.config.load import AnySettings, load, load_any, read_settings
from seckex.config.messages import Messages
from seckex.config.responder import ResponderSettings
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
            if inner.__name__ in ("Service", "MessageService"):
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

    def test_that_of_a_mobile_node_works_as_it_is(self) -> None:
        file = self.directory / "initiator-roaming.toml"
        file.write_text((CONF / file.name).read_text())
        settings = load_any(file).settings
        assert isinstance(settings, InitiatorSettings)
        home = load_any(self.directory / "home-agent.toml").settings
        agent = load_any(self.directory / "agent.toml").settings
        assert isinstance(home, ResponderSettings)
        assert isinstance(agent, AgentSettings)
        assert settings.home is not None
        # What they say of each other is so.
        self.assertEqual((settings.home.nai, settings.home.address), (home.identity.nai, home.listen.addresses[0]))
        self.assertEqual(settings.registration.solicit, agent.listen.addresses)

    def test_those_of_messages_work_as_they_are(self) -> None:
        write_credentials(self.directory, "node", "node@example.net")
        read: list[AnySettings] = []
        for name in ("messages.toml", "messages-node.toml"):
            file = self.directory / name
            file.write_text((CONF / name).read_text())
            read.append(load_any(file).settings)
        home, node = read
        assert isinstance(home, ResponderSettings)
        assert isinstance(node, InitiatorSettings)
        assert home.messages is not None
        assert node.messages is not None
        # What they say of each other is so.
        [there] = node.messages.peers
        self.assertEqual((there.nai, there.address), (home.identity.nai, home.listen.addresses[0]))
        self.assertTrue(home.messages.may_send(node.identity.nai, "orders"))
        self.assertTrue(node.messages.may_send(home.identity.nai, "receipts"))

    def test_every_setting_of_messages_is_shown_with_its_default(self) -> None:
        text = (CONF / "messages.toml").read_text()
        file = self.directory / "messages.toml"
        file.write_text(text)
        settings = load_any(file).settings
        assert isinstance(settings, ResponderSettings)
        self.assertEqual(shown_in(tomllib.loads(uncommented(text))["messages"], Messages, "messages."), [])
        file.write_text(uncommented(text))
        self.assertEqual(load_any(file).settings, settings)

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


class AaaTests(SynchronousTestCase):
    """The samples of the folder aaa: three agents that know each other."""

    def setUp(self) -> None:
        # Control sockets have short paths: trial's own folders are too deep.
        self.directory = Path(tempfile.mkdtemp(prefix="seckex-test-"))
        self.addCleanup(shutil.rmtree, self.directory)
        (self.directory / "aaa").mkdir()
        for name, nai in (
            ("agent", "agent@visited.example"),
            ("aaa/foreign-server", "aaa@visited.example"),
            ("aaa/home-server", "aaa@example.org"),
        ):
            write_credentials(self.directory, name, nai)

    def test_they_work_as_they_are_and_find_each_other(self) -> None:
        read: dict[str, AgentSettings] = {}
        for file in sorted((CONF / "aaa").glob("*.toml")):
            copy = self.directory / "aaa" / file.name
            copy.write_text(file.read_text())
            settings = load(copy, AgentSettings).settings
            read[settings.identity.nai] = settings
        self.assertEqual(len(read), 3)
        asked = set()
        for nai, settings in read.items():
            for hop in settings.hops:
                there = read.get(hop.nai)
                if there is not None:
                    asked.add((nai, hop.nai))
                    self.assertIn(hop.address, there.hops_listen.addresses)
                    self.assertEqual(hop.port, there.hops_listen.port)
                    self.assertTrue({nai, pattern_of(nai)} & {*there.hops_listen.accept})
        agent, visited, home = "agent@visited.example", "aaa@visited.example", "aaa@example.org"
        self.assertEqual(asked, {(agent, visited), (visited, home)})
        self.assertEqual([route.next for route in read[visited].aaa.routes], [(home,)])
