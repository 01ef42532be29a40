"""The upkeep of strongSwan's key, between a seckex daemon and a strongSwan daemon that are made up."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from seckex.cli.control_client import Unreachable

PROGRAM = Path(__file__).parents[2] / "contrib" / "strongswan" / "seckex_psk.py"


def program() -> ModuleType:
    """Return the program as a module."""
    spec = importlib.util.spec_from_file_location("seckex_psk", PROGRAM)
    if importlib.util.find_spec("vici") is None or spec is None or spec.loader is None:
        raise SkipTest("the package vici is not installed: pip install '.[strongswan]'")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class MadeUpDaemon:
    """Has the association that it is told to have."""

    def __init__(self) -> None:
        self.association: Any = None
        self.next: Any = None
        self.reachable = True

    def newest(self, _peer: str) -> Any:
        if not self.reachable:
            raise Unreachable(Path("control.sock"), "nobody")
        return self.association

    def export(self, _peer: str, newest: Any) -> bytes | None:
        replaced, self.association = self.next is not None, self.next or self.association
        self.next = None
        return None if replaced else newest.spi_in.to_bytes(32, "big")


class MadeUpCharon:
    """Has what it is given."""

    def __init__(self) -> None:
        self.key = b""

    def holds(self) -> bool:
        return bool(self.key)

    def load(self, key: bytes) -> None:
        self.key = key

    def unload(self) -> None:
        self.key = b""


class UpkeepTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.program = program()
        self.daemon, self.charon = MadeUpDaemon(), MadeUpCharon()
        self.upkeep = self.program.Upkeep(self.daemon, self.charon, "home@example.org")

    def association(self, spi: int) -> Any:
        return self.program.Newest(spi, spi + 1, "node@example.net", "home@example.org")

    def test_a_key_is_loaded_once_for_each_association(self) -> None:
        self.assertEqual((self.upkeep.look(), self.charon.key), ("", b""))
        self.daemon.association = self.association(0x1000)
        self.assertIn("key loaded: association 0x00001000", self.upkeep.look())
        self.assertEqual((self.upkeep.look(), self.charon.key), ("", (0x1000).to_bytes(32, "big")))
        self.daemon.association = self.association(0x2000)
        self.assertIn("0x00002000", self.upkeep.look())
        self.assertEqual(self.charon.key, (0x2000).to_bytes(32, "big"))

    def test_one_that_is_forgotten_is_loaded_again(self) -> None:
        self.daemon.association = self.association(0x1000)
        self.upkeep.look()
        self.charon.unload()
        self.assertIn("key loaded", self.upkeep.look())

    def test_it_goes_with_the_association(self) -> None:
        self.daemon.association = self.association(0x1000)
        self.upkeep.look()
        self.daemon.association = None
        self.assertIn("key unloaded", self.upkeep.look())
        self.assertEqual((self.charon.key, self.upkeep.look()), (b"", ""))

    def test_it_outlasts_a_daemon_that_cannot_be_reached(self) -> None:
        self.daemon.association = self.association(0x1000)
        self.upkeep.look()
        self.daemon.reachable = False
        self.assertRaises(Unreachable, self.upkeep.look)
        self.assertTrue(self.charon.key)

    def test_an_association_that_is_replaced_meanwhile(self) -> None:
        self.daemon.association, self.daemon.next = self.association(0x1000), self.association(0x2000)
        self.assertEqual((self.upkeep.look(), self.charon.key), ("", b""))
        self.assertIn("0x00002000", self.upkeep.look())

    def test_the_context_has_the_names_by_role(self) -> None:
        lengths = (16).to_bytes(4, "big")
        self.assertEqual(
            self.association(0x1000).context, lengths + b"node@example.net" + lengths + b"home@example.org"
        )
