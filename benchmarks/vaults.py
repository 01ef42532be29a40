"""Two principals of messages in one process: certificates by one authority, prekeys, each knows the other's."""

from __future__ import annotations

import os
from typing import Final

from benchmarks.certificates import make_principals
from benchmarks.daemons import folder
from seckex.config.credentials import Credentials
from seckex.crypto.identity import Identity, TrustAnchors
from seckex.delivery.keys.faces import Policy
from seckex.net.delivery.prekeys import PrekeyRing
from seckex.net.delivery.vault import MessageVault
from seckex.net.principal import Clock
from seckex.sa.store import Outcome
from seckex.wire.numbers import Kem
from seckex.wire.prekey import decode_prekey

NODE: Final = "node@example.net"
HOME: Final = "home@example.org"
_DAY: Final = 86_400.0


def _vault(nai: str, credentials: Credentials) -> MessageVault:
    # Nothing is stored: whatever is submitted counts as durable at once.
    ring = PrekeyRing(nai, 0, _DAY, 7 * _DAY, os.urandom, lambda _, done: done(Outcome.STORED))
    vault = MessageVault(nai, ring, None, Policy(), os.urandom, Clock().wall, held=lambda _: (), at=lambda _: None)
    vault.reconfigure(credentials, Policy())
    return vault


def vaults(kem: Kem) -> tuple[MessageVault, MessageVault]:
    """Return a node and its home, each of which knows the prekey for ``kem`` of the other."""
    with folder() as path:
        make_principals(path, {"node": NODE, "home": HOME})
        trust = TrustAnchors.from_pem([(path / "ca.pem").read_bytes()])
        found = []
        for name, nai in (("node", NODE), ("home", HOME)):
            pem, key = ((path / f"{name}.{ending}").read_bytes() for ending in ("pem", "key"))
            found.append(_vault(nai, Credentials(Identity.from_pem(pem, key), trust)))
    node, home = found
    now = Clock().wall()
    for one, other in ((node, home), (home, node)):
        one.learn_prekeys(other.nai, [each for each in other.ring.told(now) if decode_prekey(each).kem is kem], now)
    return node, home
