"""Provisioning files: what is rendered is read, what is wrong is told without repeating any of it."""

from __future__ import annotations

import traceback
from ipaddress import ip_address
from pathlib import Path

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.problems import ConfigInvalid
from seckex.config.provision import HomeKey, Provision, parse_provision, render_provision
from seckex.crypto.secrets import Secret
from seckex.wire.info import Layer2Extension
from tests.config.written import KEY

FILE = Path("node.provision")

LEAST = Provision(nai="node@example.org", home_agent="home@example.org", kvno=1, key0=Secret(bytes.fromhex(KEY)))
MOST = evolve(
    LEAST,
    nai='a"\\é@example.org',
    kvno=2**32 - 1,
    home_address=ip_address("2001:db8::7"),
    layer2=Layer2Extension(0, bytes.fromhex("020000000001")),
    addresses=("192.0.2.1", "2001:db8::1"),
    home_keys=(HomeKey(kem=1, until=1_800_000_000, public=bytes(32)), HomeKey(kem=2, until=0, public=bytes(1216))),
)


def refusal(octets: bytes) -> str:
    """Return everything that an error about a file could put into a log."""
    try:
        parse_provision(octets, FILE)
    except ConfigInvalid as error:
        return "".join(traceback.format_exception(error)) + repr(error.problems)
    return ""


class ProvisionTests(SynchronousTestCase):
    def test_what_is_rendered_is_read(self) -> None:
        for provision in (LEAST, MOST):
            self.assertEqual(parse_provision(render_provision(provision), FILE), provision)

    def test_the_key_does_not_show(self) -> None:
        self.assertNotIn(KEY[:8], repr(MOST))

    def test_each_entry_is_judged(self) -> None:
        text = (
            'version = 1\nnai = "nobody"\nkvno = -1\nkey0 = "12"\nhome-address = "10.0.0.256"\nlayer2 = "2:0"\n'
            'addresses = ["x"]\nextra = 1\n[[home-keys]]\nkem = 3\nuntil = 1\npublic = "0"\n'
        )
        nai = 'a network access identifier such as "name@example.org", at most 253 octets'
        with self.assertRaises(ConfigInvalid) as caught:
            parse_provision(text.encode(), FILE)
        self.assertEqual(
            [str(problem) for problem in caught.exception.problems],
            [
                f"nai: must be {nai}",
                f"home-agent: is required: {nai}",
                "kvno: must be a whole number from 0 to 4294967295",
                "key0: must be 64 hexadecimal digits",
                'home-address: must be an IP address such as "10.0.0.7"',
                'layer2: must be an Ethernet address such as "02:00:00:00:00:01"',
                'addresses[0]: must be an IP address such as "127.0.0.1" or "::1"',
                "home-keys[0].kem: must be a whole number from 1 to 2",
                "home-keys[0].public: must be hexadecimal digits, two for each octet",
                "has a key that is none of nai, home-agent, kvno, key0, home-address, layer2, addresses, home-keys",
            ],
        )

    def test_entries_that_contradict_each_other(self) -> None:
        for provision, why in (
            (evolve(LEAST, nai="n" * 117 + "@example.org"), "nai: must have at most 128 octets"),
            (evolve(LEAST, home_agent=LEAST.nai), "home-agent: must be another than the node"),
            (
                evolve(LEAST, home_keys=(HomeKey(kem=2, until=1, public=bytes(32)),)),
                "home-keys[0].public: must be 2432 hexadecimal digits",
            ),
        ):
            self.assertIn(why, refusal(render_provision(provision)))

    def test_other_refusals(self) -> None:
        whole = render_provision(LEAST).decode()
        for text, why in {
            whole.replace("version = 1", "version = 2"): "version: must be 1",
            whole.replace("version = 1", ""): "version: must be 1",
            whole + "[[" * 9: "is not TOML",
            whole + " " * 2**15: "is longer than 32768 octets",
        }.items():
            self.assertIn(why, refusal(text.encode()))
        self.assertIn("is not UTF-8 text", refusal(b"\xff" + KEY.encode()))

    def test_no_error_repeats_the_file(self) -> None:
        whole = render_provision(LEAST).decode()
        for text in (
            whole.replace(f'"{KEY}"', KEY),
            whole.replace(f'"{KEY}"', f'"{KEY}'),
            whole.replace("key0 = ", f"{KEY} = 1\nkey0 = "),
            whole.replace("kvno = 1", f'kvno = "{KEY}"'),
            whole.replace("key0 = ", "home-address = "),
        ):
            said = refusal(text.encode())
            self.assertTrue(said)
            self.assertNotIn(KEY[:8], said)

    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=200))
    def test_anything_is_read_or_refused(self, octets: bytes) -> None:
        self.assertTrue(refusal(octets))
