"""The key schedule: one class for each stage, each leading only to the next.

What vouches for an exchange (`seckex.crypto.authority`), a transcript and a key
agreement's secret give an `AgreedKeys`, from whose dialog key a `LinkSchedule`
makes the keys of each link. docs/protocol.md, section 7, has the formulas, section 10 those of links.
Every key has a label and the context that it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from seckex.crypto.secrets import Secret
from seckex.crypto.suites import KEY_SIZES, SHA256, SHA384, Hash
from seckex.errors import ApiMisuse
from seckex.wire.numbers import PRF_HMAC_SHA2_256, PRF_HMAC_SHA2_384, Role, SaContent, Suite

PRF_HASHES: Final[Mapping[int, Hash]] = {PRF_HMAC_SHA2_256: SHA256, PRF_HMAC_SHA2_384: SHA384}

SHORTEST_EXPORT: Final = 32
PREFIX_SIZE: Final = 4


def lp(octets: bytes) -> bytes:
    """Return ``octets`` behind their length in 32 bits."""
    return len(octets).to_bytes(4, "big") + octets


@frozen
class AgreedKeys:
    """The keys of an association: section 7. Each is as long as the PRF's hash.

    They are derived from ``secret`` (prk there) when they are asked for: most
    associations never need most of them, and one secret takes less room than
    seven.
    """

    prf: int
    secret: Secret = field(repr=False)
    context: bytes = field(repr=False)

    @property
    def hash(self) -> Hash:
        """The hash of the PRF."""
        return PRF_HASHES[self.prf]

    def _key(self, label: bytes) -> Secret:
        function = PRF_HASHES[self.prf]
        return Secret(function.expand(self.secret.octets, b"seckex1 " + label + self.context, function.size))

    @property
    def confirm_i(self) -> Secret:
        """The initiator's key of authenticators over the transcript."""
        return self._key(b"confirm i")

    @property
    def confirm_r(self) -> Secret:
        """The responder's."""
        return self._key(b"confirm r")

    @property
    def auth_i(self) -> Secret:
        """The initiator's key of the authentication transform."""
        return self._key(b"auth i")

    @property
    def auth_r(self) -> Secret:
        """The responder's."""
        return self._key(b"auth r")

    @property
    def dialog(self) -> Secret:
        """The key exchange key of links."""
        return self._key(b"dialog")

    @property
    def exporter(self) -> Secret:
        """What keying material for others is exported from."""
        return self._key(b"exporter")

    @property
    def rekey(self) -> Secret:
        """What the keys of an association in place of this one are mixed with."""
        return self._key(b"rekey")

    def confirm(self, role: Role, label: bytes, transcript: bytes, covered: bytes = b"") -> bytes:
        """Return the authenticator that ``role`` gives over the transcript and what else its message holds."""
        key = self.confirm_i if role is Role.INITIATOR else self.confirm_r
        return self.hash.mac(key.octets, label, transcript, covered)

    def export(self, label: bytes, context: bytes, length: int) -> Secret:
        """Return keying material for another protocol, ``length`` octets, 32 at least."""
        longest = 255 * self.hash.size
        if not SHORTEST_EXPORT <= length <= longest:
            raise ApiMisuse(f"exports are {SHORTEST_EXPORT} to {longest} octets")
        info = lp(label) + lp(self.hash.digest(context)) + length.to_bytes(2, "big")
        return Secret(self.hash.expand(self.exporter.octets, info, length))

    def octets(self) -> bytes:
        """Return all that the keys come from in one string, for sealing at rest; `from_octets` reads it."""
        return self.prf.to_bytes(2, "big") + self.secret.octets + lp(self.context)

    @classmethod
    def from_octets(cls, octets: bytes) -> AgreedKeys:
        """Read what `octets` wrote; raises `ApiMisuse` for anything else."""
        prf = int.from_bytes(octets[:2], "big")
        if prf in PRF_HASHES:
            end = 2 + PRF_HASHES[prf].size
            secret, context = octets[2:end], octets[end + 4 :]
            if context and octets[end:] == lp(context):
                return cls(prf, Secret(secret), context)
        raise ApiMisuse("these are not the keys of an association")


def agree(
    prf: int,
    mix: Secret,
    shared: Secret,
    transcript: bytes,
    names: tuple[str, str],
    spis: tuple[int, int],
    content: SaContent = SaContent.PRINCIPALS,
) -> AgreedKeys:
    """Derive an association's keys; ``names`` and ``spis`` are (initiator's, responder's).

    ``content`` says between whom the association is; nothing but the keys depends on it.
    """
    secret = PRF_HASHES[prf].extract(transcript, lp(mix.octets) + lp(shared.octets))
    context = (
        content.to_bytes(1, "big")
        + lp(names[0].encode())
        + lp(names[1].encode())
        + spis[0].to_bytes(4, "big")
        + spis[1].to_bytes(4, "big")
    )
    return AgreedKeys(prf, Secret(secret), context)


@frozen
class RecordKey:
    """What one direction of a link seals with: a key and the first 4 octets of every nonce."""

    suite: Suite
    key: Secret
    prefix: bytes = field(repr=False)


@frozen
class LinkKeys:
    """The keys of an open link: ``context`` names them in each record."""

    context: int
    initiator: RecordKey
    responder: RecordKey


class LinkSchedule:
    """From an association's dialog key to the keys of its links: docs/protocol.md, section 10."""

    __slots__ = ("_dialog", "_hash", "suite")

    def __init__(self, suite: Suite, prf: int, dialog: Secret) -> None:
        self.suite = suite
        self._hash = PRF_HASHES[prf]
        self._dialog = dialog

    def __repr__(self) -> str:
        return f"<LinkSchedule {self.suite.name}>"

    def _record_key(self, prk: bytes, label: bytes) -> RecordKey:
        size = KEY_SIZES[self.suite]
        octets = self._hash.expand(prk, label, size + PREFIX_SIZE)
        return RecordKey(self.suite, Secret(octets[:size]), octets[size:])

    def hello_i(self, salt_i: bytes) -> RecordKey:
        """Return the key of the initiator's HELLO."""
        return self._record_key(self._hash.extract(salt_i, self._dialog.octets), b"seckex1 hello i")

    def hello_r(self, salt_i: bytes, salt_r: bytes) -> RecordKey:
        """Return the key of the responder's HELLO."""
        return self._record_key(self._hash.extract(salt_i + salt_r, self._dialog.octets), b"seckex1 hello r")

    def body(self, salt_i: bytes, salt_r: bytes) -> LinkKeys:
        """Return the keys of all records after HELLO."""
        dsk = self._hash.extract(salt_i + salt_r, self._dialog.octets)
        context = int.from_bytes(self._hash.expand(dsk, b"seckex1 context", 4), "big")
        return LinkKeys(context, self._record_key(dsk, b"seckex1 body i"), self._record_key(dsk, b"seckex1 body r"))
