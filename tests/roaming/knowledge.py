"""Who knows what: every secret that is made, by whom, and all octets that a host has in memory, store and messages.

A `Ledger` notes each `seckex.crypto.secrets.Secret` and each set of agreed keys
at the moment in which it comes into being, with the host that acts then. `memory`
walks what a host's roles hold, `stored` what lasts, `said` what it sent and
got over hops and radio: all octets, texts and addresses, joined for looking through.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from types import BuiltinMethodType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final
from unittest.mock import patch

from attrs import define, field

from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.wire.numbers import SaContent
from tests.roaming.host import Host
from tests.roaming.network import Network

#: What is between octets that do not belong together.
GAP: Final = b"\0|\xff|\0"

_EMPTY: Final = frozenset((int, float, bool, type(None)))
_NOT_ENTERED: Final = (type, ModuleType, CodeType)


@define(eq=False)
class Ledger:
    """See the module.

    ``made`` has the names of the hosts that made a secret, ``agreed`` those that made agreed keys, by their context.
    """

    network: Network
    made: dict[bytes, set[str]] = field(factory=dict)
    agreed: dict[bytes, dict[bytes, set[str]]] = field(factory=dict)

    @contextmanager
    def watching(self) -> Iterator[Ledger]:
        """Note all that is made from here on."""
        made, agreed = Secret.__init__, AgreedKeys.__init__
        ledger = self

        def noted(secret: Secret, octets: bytes) -> None:
            made(secret, octets)
            if ledger.network.acting:
                ledger.made.setdefault(octets, set()).add(ledger.network.acting)

        def noted_keys(keys: AgreedKeys, prf: int, secret: Secret, context: bytes) -> None:
            agreed(keys, prf, secret, context)
            if ledger.network.acting:
                ledger.note(keys)

        with patch.object(Secret, "__init__", noted), patch.object(AgreedKeys, "__init__", noted_keys):
            yield self

    def note(self, keys: AgreedKeys) -> None:
        """Take note of agreed keys; there are none of the same context with another secret."""
        found = self.agreed.setdefault(keys.context, {})
        found.setdefault(keys.secret.octets, set()).add(self.network.acting)
        if len(found) > 1:
            self.network.fail(f"two different keys of one context: {sorted(map(sorted, found.values()))}")

    def holders(self, content: int) -> Iterator[tuple[bytes, set[str]]]:
        """Yield the secrets of the keys of one kind, each with all hosts that have ever made it."""
        for context, found in self.agreed.items():
            if context[0] == content:
                for secret in found:
                    yield secret, self.made.get(secret, set())

    def check(self, nodes: Iterable[str], agents: Iterable[str], home: Iterable[str]) -> None:
        """Check that nobody has made a key that is not his.

        KEY 1 is for a node and its home, KEY 2 for an agent and the home, KEY 3 for node and agent.
        """
        who = set(nodes), set(agents), set(home)
        may = {
            SaContent.MN_HA: (who[0], who[2]),
            SaContent.MN_SMM: (who[0], who[2]),
            SaContent.FA_HA: (who[1], who[2]),
            SaContent.MN_FA: (who[0], who[1]),
        }
        for content, (one, other) in may.items():
            for _, holders in self.holders(content):
                # A home agent may be an agent as well.
                if len(holders & one - other) > 1 or len(holders & other) > 1 or holders - one - other:
                    self.network.fail(f"a key of {content.name} is known to {sorted(holders)}")


def memory(host: Host) -> bytes:
    """Return all octets that the roles of a running host hold, in whatever objects."""
    roles = [] if host.house is None else list(host.house.roles.values())
    return GAP.join(_octets_of(roles))


def stored(host: Host) -> bytes:
    """Return all octets that last at a host."""
    return GAP.join(_octets_of([host.store]))


def octets_of(values: list[object]) -> bytes:
    """Return all octets that values hold, in whatever objects."""
    return GAP.join(_octets_of(values))


def shown(host: Host) -> bytes:
    """Return all that a host tells its operator: reports, status and counters."""
    texts = [str(event) + repr(event) for event in host.reports]
    if host.house is not None:
        texts += [repr(host.house.status(host.now())), repr(host.counters)]
    return GAP.join(text.encode() for text in texts)


def said(network: Network, host: Host) -> bytes:
    """Return all messages that a host sent or got."""
    parcels = (p.octets for p in network.told if host.nai in (p.sender, p.receiver))
    addresses = set(host.addresses)
    datagrams = (d.octets for d in network.sent if {d.source.host, d.destination.host} & addresses)
    return GAP.join((*parcels, *datagrams))


def _octets_of(roots: Iterable[Any]) -> Iterator[bytes]:
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        found = waiting.pop()
        if type(found) in _EMPTY or id(found) in seen or isinstance(found, _NOT_ENTERED):
            continue
        seen.add(id(found))
        match found:
            case bytes() | bytearray() | memoryview():
                yield bytes(found)
            case str():
                yield found.encode(errors="replace")
            case IPv4Address() | IPv6Address():
                yield found.packed
            case FunctionType():
                # Not what is global to it.
                waiting += [*(cell.cell_contents for cell in found.__closure__ or ()), *(found.__defaults__ or ())]
            case MethodType() | BuiltinMethodType():
                waiting.append(found.__self__)
            case Network() | Host():
                raise AssertionError("a role holds the table on which it stands")
            case _:
                waiting += gc.get_referents(found)
