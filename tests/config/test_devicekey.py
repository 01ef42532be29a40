"""The files of a device's key."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from seckex.config.devicekey import parse_private, parse_public, render_private, render_public
from seckex.config.problems import ConfigInvalid
from seckex.crypto.secrets import Secret

FILE = Path("device.key")
KEY = bytes(range(32))


class DeviceKeyTests(SynchronousTestCase):
    def refusal(self, parse: Callable[[bytes, Path], object], octets: bytes) -> str:
        try:
            parse(octets, FILE)
        except ConfigInvalid as error:
            return "".join(traceback.format_exception(error))
        return ""

    def test_what_is_rendered_is_read(self) -> None:
        self.assertEqual(parse_private(render_private(Secret(KEY)), FILE), Secret(KEY))
        self.assertEqual(parse_public(render_public(KEY), FILE), KEY)

    def test_anything_else_is_refused_and_not_repeated(self) -> None:
        private, public = render_private(Secret(KEY)), render_public(KEY)
        for parse, octets in (
            (parse_private, public),
            (parse_private, private[:-4]),
            (parse_private, private + private),
            (parse_public, public[:-4]),
            (parse_public, b""),
            (parse_public, KEY),
        ):
            said = self.refusal(parse, octets)
            self.assertIn("key of a device; seckex provision makes one", said)
            self.assertNotIn("0102", said)

    def test_a_private_key_in_place_of_the_public_one_is_told(self) -> None:
        self.assertIn("must not leave it", self.refusal(parse_public, render_private(Secret(KEY))))
