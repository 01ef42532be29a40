"""What the keys of dialogs ask of their daemon, what they give, and how they refuse.

`Vault` is all that they are given: nothing here keeps a long-term key of its own, asks for the time or draws a random
octet by itself.

To the outside all that cannot be opened for want of keys is one thing, `HeadersMissing`, and what does not verify is
met with silence; what was at fault is in the exceptions for our own operator alone: ``field`` is the name that the
field has in docs/messages.md, ``peer`` who the envelope says that it is of, which nothing has proved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from attrs import field, frozen

from seckex.crypto.identity import Identity, Trust, Voucher
from seckex.crypto.prekeys import PrivatePrekey, PublicPrekey
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.delivery.keys.pair import Pair, Principal
from seckex.errors import AuthenticationFailed, PeerFault, SeckexError
from seckex.wire.envelope_headers import DialogHeader
from seckex.wire.numbers import Code, MessageKek, Suite

if TYPE_CHECKING:
    from seckex.delivery.keys.accepting import Accepting


@frozen
class AssociationKeys:
    """An association that KEKs come of: ``spi`` is that at the target of the dialog, ``peer`` the other principal.

    ``kdc``: its KEY 1 was issued by a key distribution center. ``expires`` in seconds since 1970.
    """

    spi: int
    peer: str
    keys: AgreedKeys = field(repr=False)
    expires: float
    kdc: bool = False


@frozen
class ExchangedKek:
    """What a three-phase exchange has given its two ends; ``dialog_id`` is the one that it named.

    ``voucher`` is of the other end.
    """

    exchange_id: bytes
    kek: Secret
    dialog_id: bytes
    initiator: Principal
    target: Principal
    voucher: Voucher
    expires: float


@frozen
class Policy:
    """What a principal takes: the sources of KEKs and the suites of others, and services that need no name."""

    sources: frozenset[MessageKek] = frozenset(MessageKek)
    suites: frozenset[Suite] = frozenset(Suite)
    anonymous: frozenset[str] = frozenset()


class Vault(Protocol):
    """Our own keys, whom we trust, and what we allow."""

    @property
    def nai(self) -> str:
        """Our name."""
        ...

    @property
    def identity(self) -> Identity | None:
        """Our certificate and its key, None where only associations vouch for us."""
        ...

    @property
    def trust(self) -> Trust | None:
        """Who may vouch for others, None where nobody does."""
        ...

    @property
    def policy(self) -> Policy:
        """What we allow."""
        ...

    def entropy(self, count: int) -> bytes:
        """Return so many random octets."""
        ...

    def clock_ns(self) -> int:
        """Return the wall clock, in nanoseconds since 1970, for the creation times of envelopes."""
        ...

    @property
    def principals(self) -> Sequence[Principal]:
        """Us by our certificates, few: the present one first, then those that prekeys of ours still have."""
        ...

    def prekey(self, peer: str, now: float) -> PublicPrekey | None:
        """Return the prekey of another that KEKs are to be sealed to at ``now`` (wall clock), if one is known."""
        ...

    def told_prekeys(self, now: float) -> Sequence[bytes]:
        """Return the prekeys of ours that others are told at ``now``, as they travel."""
        ...

    def learn_prekeys(self, peer: str, prekeys: Sequence[bytes], now: float) -> None:
        """Take what somebody tells who says that he is ``peer``, as far as it is his and verifies."""
        ...

    def voucher(self, peer: str, fingerprint: bytes, now: float) -> Voucher | None:
        """Return what another's chain says that came with a prekey of his, or in an exchange, if it still verifies."""
        ...

    def private_prekey(self, prekey_id: bytes) -> PrivatePrekey | None:
        """Return a prekey of ours that is not destroyed yet."""
        ...

    def association_to(self, peer: str, kdc: bool) -> AssociationKeys | None:
        """Return the newest association with another, at the initiator of a dialog."""
        ...

    def association_at(self, spi: int) -> AssociationKeys | None:
        """Return the association that has this SPI here, at the target of a dialog."""
        ...

    def exchanged(self, exchange_id: bytes) -> ExchangedKek | None:
        """Return what came of a three-phase exchange, at its target."""
        ...

    def spend_exchanged(self, exchange_id: bytes) -> None:
        """Forget what came of an exchange: its KEK has been taken."""
        ...


class Opened(NamedTuple):
    """What an envelope held, verified: from whom (a NAI, "" for an initiator without a name), in which dialog.

    ``chain`` is the chain hash of its headers; ``new_chain`` is the same where they were learnt from this envelope.
    ``created`` in seconds since 1970 by the sender's clock. ``accepting`` seals answers, at a target.
    """

    dialog: DialogHeader
    back: bool
    body: bytes
    peer: str
    pair: Pair
    chain: bytes
    new_chain: bytes | None
    created: float
    accepting: Accepting | None = None


class HeadersMissing(SeckexError):
    """The keys of an envelope are not held: unknown, ended or revoked. ``digest`` is what a NOTICE names it by."""

    def __init__(self, field: str, why: str, dialog_id: bytes, digest: bytes = b"", peer: str = "") -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why
        self.dialog_id = dialog_id
        self.digest = digest
        self.peer = peer


class Refused(PeerFault):
    """An envelope that verifies, and asks for what policy does not allow."""

    def __init__(self, code: Code, field: str, why: str, dialog_id: bytes, digest: bytes = b"", peer: str = "") -> None:
        super().__init__(code, f"{field}: {why}")
        self.field = field
        self.dialog_id = dialog_id
        self.digest = digest
        self.peer = peer


class Forged(AuthenticationFailed):
    """An envelope that nobody who may has made, or a copy of one; it is not answered."""

    def __init__(self, field: str, why: str, dialog_id: bytes, peer: str = "") -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why
        self.dialog_id = dialog_id
        self.peer = peer


class KeysWanting(SeckexError):
    """Nothing can be sealed now: the peer's prekey is not known, an association has ended, or an exchange must be."""
