"""What a house of dialogs is told by its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import Factory, frozen

from seckex.config.common import pattern_of
from seckex.crypto.prekeys import PrivatePrekey
from seckex.delivery.faces import LARGEST_MESSAGE
from seckex.delivery.keys.faces import ExchangedKek, Vault


def matches(nai: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether one of ``patterns``, names or ``*@realm``, is for ``nai``."""
    return nai in patterns or pattern_of(nai) in patterns


class HouseVault(Vault, Protocol):
    """What a house asks of keys beside what dialogs do: prekeys are told and heard on connections."""

    def told_prekeys(self, now: float) -> Sequence[bytes]:
        """Return the newest prekey of each KEM, signed (`seckex.wire.prekey`); ``now`` is the wall clock."""
        ...

    def learn_prekeys(self, peer: str, prekeys: Sequence[bytes], now: float) -> None:
        """Take what ``peer`` is said to have told; what does not verify, or is somebody else's, is left out."""
        ...

    def own_prekey(self, now: float) -> PrivatePrekey | None:
        """Return the best prekey of ours that is told, which answers of exchanges can be sealed to."""
        ...

    def keep_exchanged(self, exchanged: ExchangedKek) -> None:
        """Take what came of a three-phase exchange, at its target: `Vault.exchanged` has it from now on."""
        ...


@frozen(kw_only=True)
class ServiceTerms:
    """A service that messages can be sent to here.

    ``allowed`` has who may, by name or ``*@realm``; ``anonymous`` also those that do not tell. A message is longer than
    ``largest`` nowhere. After ``attempts`` a message is put aside.
    """

    allowed: tuple[str, ...] = ()
    anonymous: bool = False
    largest: int = LARGEST_MESSAGE
    attempts: int = 10


@frozen(kw_only=True)
class PeerTerms:
    """Somebody whom we begin dialogs with.

    ``calls``: we have an address of it; otherwise it has to connect to us. ``via`` is the relay that it is reached
    through, empty for none; ``collects``: it cannot call us, or keeps for us what comes meanwhile.
    ``source`` is "auto", "prekey", "association" or "three-phase". ``services`` are those that we may use, all where it
    is None. ``anonymous``: we do not tell it who we are.
    """

    calls: bool = True
    via: str = ""
    collects: bool = False
    source: str = "auto"
    services: tuple[str, ...] | None = None
    anonymous: bool = False


@frozen(kw_only=True)
class HouseLimits:
    """The bounds of a house; octets are of payloads that are kept."""

    dialogs: int = 100_000
    outbox: int = 1 << 30
    inbox: int = 1 << 30
    window: int = 4 << 20
    idle: float = 300.0


@frozen(kw_only=True)
class RelayTerms:
    """For whom we are a relay, and what it may take: docs/messages.md, section 13.

    ``principals`` has who may deposit and collect, by name or ``*@realm``. ``octets`` and ``envelopes`` are of one
    destination, ``total`` octets of all. What nobody has collected after ``keep`` seconds is dropped.
    """

    principals: tuple[str, ...]
    keep: float = 7 * 86_400.0
    octets: int = 64 << 20
    envelopes: int = 10_000
    total: int = 1 << 30


@frozen(kw_only=True)
class HouseTerms:
    """All of it; ``worker`` stands in the lowest bits of the ids of dialogs that begin here."""

    nai: str
    vault: HouseVault
    worker: int = 0
    services: Mapping[str, ServiceTerms] = Factory(dict)
    peers: Mapping[str, PeerTerms] = Factory(dict)
    limits: HouseLimits = Factory(HouseLimits)
    relay: RelayTerms | None = None
