"""What a house of dialogs is told by its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import Factory, frozen

from seckex.delivery.faces import LARGEST_MESSAGE
from seckex.delivery.keys.faces import Vault

#: A name of everybody of a realm is this and the realm.
EVERYBODY: Final = "*@"


def matches(nai: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether one of ``patterns``, names or ``*@realm``, is for ``nai``."""
    return nai in patterns or EVERYBODY + nai.partition("@")[2] in patterns


@frozen(kw_only=True)
class ServiceTerms:
    """A service that messages can be sent to here.

    ``allowed`` has who may, by name or ``*@realm``; ``anonymous`` also those that do not tell. A message is longer than
    ``largest`` nowhere. After ``attempts`` a message is put aside; between them are ``retry_after`` seconds.
    """

    allowed: tuple[str, ...] = ()
    anonymous: bool = False
    largest: int = LARGEST_MESSAGE
    attempts: int = 10
    retry_after: float = 5.0


@frozen(kw_only=True)
class PeerTerms:
    """Somebody whom we begin dialogs with.

    ``calls``: we have an address of it; otherwise it has to connect to us. ``via`` is the relay that it is reached
    through, empty for none. ``source`` is "auto", "prekey", "association" or "three-phase". ``services`` are those
    that we may use, all where it is None. ``anonymous``: we do not tell it who we are.
    """

    calls: bool = True
    via: str = ""
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
    connections: int = 1024
    idle: float = 300.0


@frozen(kw_only=True)
class HouseTerms:
    """All of it; ``worker`` stands in the lowest bits of the ids of dialogs that begin here."""

    nai: str
    vault: Vault
    worker: int = 0
    services: Mapping[str, ServiceTerms] = Factory(dict)
    peers: Mapping[str, PeerTerms] = Factory(dict)
    limits: HouseLimits = Factory(HouseLimits)
