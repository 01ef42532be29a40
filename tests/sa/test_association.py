"""Associations as their two ends hold them."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.schedule import agree
from seckex.crypto.secrets import Secret
from seckex.sa.algorithms import ALL, BY_NAME
from seckex.sa.association import SUITES, WORKER_BITS, Agreement, Association
from seckex.wire.numbers import LOWEST_SPI, ProtocolId, Role, Suite

ALICE, BOB = "alice@example.org", "bob@example.org"


def agreed(*names: str, lifetime: int = 3600, mebioctets: int = 0) -> Agreement:
    """Return an agreement on algorithms by their names."""
    return Agreement(tuple(BY_NAME[name] for name in names), lifetime, mebioctets)


EVERYTHING = agreed("aes-128-gcm", "hmac-sha-384", "prf-hmac-sha-384", "x25519", mebioctets=3)


def ends(agreement: Agreement) -> tuple[Association, Association]:
    """Return the association that Alice began, as Alice and as Bob hold it."""
    keys = agree(agreement.prf, Secret(b"m" * 32), Secret(b"s" * 32), b"T" * 48, (ALICE, BOB), (0x1000, 0x2000))
    alice = Association(Role.INITIATOR, ALICE, BOB, 0x1000, 0x2000, agreement, 1_000_000.5, b"T" * 48, keys)
    return alice, evolve(alice, role=Role.RESPONDER, local=BOB, peer=ALICE, spi_in=0x2000, spi_out=0x1000)


class AgreementTests(SynchronousTestCase):
    def test_one_algorithm_for_each_protocol(self) -> None:
        names = {protocol: EVERYTHING.algorithm(protocol) for protocol in ProtocolId}
        self.assertEqual(
            {protocol: algorithm and algorithm.name for protocol, algorithm in names.items()},
            {
                ProtocolId.ENCRYPTION: "aes-128-gcm",
                ProtocolId.AUTHENTICATION: "hmac-sha-384",
                ProtocolId.PRF: "prf-hmac-sha-384",
                ProtocolId.KEY_AGREEMENT: "x25519",
            },
        )
        self.assertEqual(str(EVERYTHING), "aes-128-gcm + hmac-sha-384 + prf-hmac-sha-384 + x25519")

    def test_every_encryption_has_its_suite(self) -> None:
        encryptions = {algorithm.name for algorithm in ALL if algorithm.protocol is ProtocolId.ENCRYPTION}
        self.assertEqual(set(SUITES), encryptions)
        self.assertEqual(set(SUITES.values()), set(Suite))
        for name in encryptions:
            suite = agreed(name).suite
            assert suite is not None
            self.assertEqual(suite.name.lower().replace("_", "-"), name)

    def test_what_was_not_agreed(self) -> None:
        bare = agreed("hmac-sha-256")
        self.assertIsNone(bare.algorithm(ProtocolId.ENCRYPTION))
        self.assertIsNone(bare.suite)
        # Without a PRF keys are derived with HMAC-SHA-256.
        self.assertEqual((bare.prf, agreed("prf-hmac-sha-256").prf, agreed("prf-hmac-sha-384").prf), (5, 5, 6))


class AssociationTests(SynchronousTestCase):
    def test_both_ends_give_the_same_names_to_the_same_things(self) -> None:
        alice, bob = ends(EVERYTHING)
        self.assertEqual(alice.names, (ALICE, BOB))
        self.assertEqual(bob.names, (ALICE, BOB))
        self.assertEqual((alice.responder_spi, bob.responder_spi), (0x2000, 0x2000))
        self.assertEqual((alice.spi_in, alice.spi_out), (bob.spi_out, bob.spi_in))

    def test_it_lives_as_long_as_was_agreed(self) -> None:
        alice, _ = ends(EVERYTHING)
        self.assertEqual(alice.expires, 1_003_600.5)
        self.assertEqual(alice.octet_bound, 3 * 2**20)
        self.assertEqual(ends(agreed("aes-256-gcm"))[0].octet_bound, 0)
        self.assertFalse(alice.confirmed)

    def test_both_ends_make_the_same_keys_for_links(self) -> None:
        for name in SUITES:
            alice, bob = (end.link_schedule() for end in ends(agreed(name, "prf-hmac-sha-384")))
            assert alice is not None
            assert bob is not None
            self.assertEqual((alice.suite, bob.suite), (SUITES[name], SUITES[name]))
            self.assertEqual(alice.body(b"i" * 16, b"r" * 16), bob.body(b"i" * 16, b"r" * 16))

    def test_without_encryption_there_are_no_links(self) -> None:
        for end in ends(agreed("hmac-sha-256")):
            self.assertIsNone(end.link_schedule())

    def test_it_does_not_show_its_keys(self) -> None:
        for end in ends(EVERYTHING):
            self.assertNotIn("Secret", repr(end))
            for octets in (end.keys.dialog.octets, end.keys.exporter.octets):
                self.assertNotIn(octets.hex(), repr(end))
                self.assertNotIn(repr(octets)[2:-1], repr(end))

    def test_the_worker_stands_in_bits_that_leave_room_for_spis(self) -> None:
        self.assertLess(1 << WORKER_BITS, LOWEST_SPI)
