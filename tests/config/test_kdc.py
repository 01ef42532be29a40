"""The settings of a key distribution center: what contradicts itself."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from seckex.config.kdc import KdcSettings
from seckex.config.load import load
from seckex.config.problems import ConfigInvalid
from tests.config.written import write_credentials

CENTER = """\
role = "kdc"
[identity]
nai = "kdc@example.org"
certificate = "kdc.pem"
private-key = "kdc.key"
trust = ["ca/ca.pem"]
[state]
directory = "/home/op/state"
[hops-listen]
addresses = ["192.0.2.4"]
"""
HOP = '[[hops]]\nnai = "first@example.org"\naddress = "192.0.2.5"\n'


class KdcTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.patch(os, "environ", {"HOME": "/home/op"})
        write_credentials(self.folder, "kdc", "kdc@example.org")

    def read(self, text: str) -> KdcSettings:
        (self.folder / "kdc.toml").write_text(CENTER + text)
        return load(self.folder / "kdc.toml", KdcSettings).settings

    def problems(self, text: str) -> list[str]:
        with self.assertRaises(ConfigInvalid) as caught:
            self.read(text)
        return list(map(str, caught.exception.problems))

    def test_what_it_replicates_is_a_neighbour(self) -> None:
        self.assertEqual(
            self.read(f'[kdc]\nreplicates = "first@example.org"\n{HOP}').kdc.replicates, "first@example.org"
        )
        [why] = self.problems(f'[kdc]\nreplicates = "frist@example.org"\n{HOP}')
        self.assertIn('kdc.replicates: must be one of hops, not "frist@example.org"; did you mean', why)
        [why] = self.problems('[kdc]\nreplicates = "first@example.org"\n')
        self.assertIn("add it to hops", why)
