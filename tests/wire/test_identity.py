"""What a sealed identity holds: read whole or not at all, and one way to write it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from seckex.errors import ApiMisuse, Malformed
from seckex.wire.identity import (
    MAX_SIGNATURE,
    STEP,
    decode_chain,
    decode_identity,
    encode_chain,
    encode_identity,
    identity_size,
)
from seckex.wire.numbers import MAX_CERTIFICATES, MAX_CHAIN
from tests.wire.samples import FEW

chains = st.lists(st.binary(max_size=700), min_size=1, max_size=MAX_CERTIFICATES)
signatures = st.binary(max_size=MAX_SIGNATURE)


class IdentityTests(SynchronousTestCase):
    @FEW
    @given(chains, signatures)
    def test_what_is_written_is_read(self, chain: list[bytes], signature: bytes) -> None:
        octets = encode_identity(encode_chain(chain), signature)
        self.assertEqual(len(octets) % STEP, 0)
        self.assertEqual(len(octets), identity_size(encode_chain(chain)))
        found = decode_identity(octets)
        self.assertEqual((list(found.chain), found.signature), (chain, signature))
        self.assertEqual(list(decode_chain(encode_chain(chain))), chain)

    @FEW
    @given(chains, signatures, st.data())
    def test_parts_and_more_are_malformed(self, chain: list[bytes], signature: bytes, data: st.DataObject) -> None:
        octets = encode_identity(encode_chain(chain), signature)
        cut = data.draw(st.integers(0, len(octets) - 1))
        for wrong in (octets[:cut], octets + b"\0", octets + bytes(STEP)):
            self.assertRaises(Malformed, decode_identity, wrong)
        self.assertRaises(Malformed, decode_chain, encode_chain(chain) + b"\0")

    @FEW
    @given(st.binary(max_size=1024))
    def test_any_octets_are_read_or_malformed(self, octets: bytes) -> None:
        for decode in (decode_identity, decode_chain):
            try:
                decode(octets)
            except Malformed:
                continue

    def test_the_size_does_not_depend_on_the_signature(self) -> None:
        chain = encode_chain([b"x" * 500])
        self.assertEqual({len(encode_identity(chain, bytes(size))) for size in range(MAX_SIGNATURE + 1)}, {768})

    def test_bounds(self) -> None:
        for chain in ([], [b""] * (MAX_CERTIFICATES + 1), [bytes(MAX_CHAIN + 1)]):
            self.assertRaises(ApiMisuse, encode_chain, chain)
        self.assertRaises(ApiMisuse, encode_identity, encode_chain([b"x"]), bytes(MAX_SIGNATURE + 1))
        four = [bytes(MAX_CHAIN // MAX_CERTIFICATES)] * MAX_CERTIFICATES
        self.assertEqual(list(decode_identity(encode_identity(encode_chain(four), b"s")).chain), four)
