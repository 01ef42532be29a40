"""Messages and offers taken apart and put together again: what attackers and odd peers of the tests do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from attrs import evolve

from seckex.sa.offer import Offer, to_payload
from seckex.wire.numbers import HEADER_SIZE, ExtensionSub
from seckex.wire.payloads import Proposal, SaPayload

_START: Final = 4
_IDENTIFICATION: Final = slice(4, 12)

Group = tuple[object, ...]


def parts(octets: bytes) -> list[bytes]:
    """Return the header and each extension of a message."""
    found, at = [octets[:HEADER_SIZE]], HEADER_SIZE
    while at < len(octets):
        end = at + _START + int.from_bytes(octets[at + 2 : at + _START], "big")
        found.append(octets[at:end])
        at = end
    return found


def extension(sub: ExtensionSub, data: bytes) -> bytes:
    """Return an extension."""
    return bytes((127, sub)) + len(data).to_bytes(2, "big") + data


def sa_of(octets: bytes) -> bytes:
    """Return the SA payload of a message."""
    return next(part[_START:] for part in parts(octets)[1:] if part[1] == ExtensionSub.SA_PAYLOAD)


def with_sa(octets: bytes, payload: bytes) -> bytes:
    """Return a message with another SA payload, its padding adapted."""
    found = parts(octets)
    grown = len(payload) - len(sa_of(octets))
    changed = [found[0]]
    for part in found[1:]:
        if part[1] == ExtensionSub.SA_PAYLOAD:
            changed.append(extension(ExtensionSub.SA_PAYLOAD, payload))
        elif part[1] == ExtensionSub.PADDING:
            changed.append(extension(ExtensionSub.PADDING, bytes(max(len(part) - _START - grown, 0))))
        else:
            changed.append(part)
    return b"".join(changed)


def readdressed(mine: bytes, other: bytes) -> Iterator[bytes]:
    """Yield ``other`` as if it belonged to the exchange of ``mine``, as far as that can be without a key."""
    (header, *body), (_, *taken) = parts(mine), parts(other)
    yield other[: _IDENTIFICATION.start] + mine[_IDENTIFICATION] + other[_IDENTIFICATION.stop :]
    yield header + b"".join(taken)
    if body[0][1] == ExtensionSub.EXCHANGE:
        yield parts(other)[0] + body[0] + b"".join(taken[1:])
        yield header + body[0] + b"".join(taken[1:])
    # The authenticator's SPI is the other thing that names an association.
    yield header + b"".join(body[:-1]) + body[-1][:8] + taken[-1][8:]


def crossed(mine: bytes, other: bytes) -> Iterator[bytes]:
    """Yield ``mine`` with one part of ``other``, and the other way round, for each part."""
    ours, theirs = parts(mine), parts(other)
    for at in range(min(len(ours), len(theirs))):
        for whole, part in ((ours, theirs[at]), (theirs, ours[at])):
            changed = b"".join((*whole[:at], part, *whole[at + 1 :]))
            if changed not in (mine, other):
                yield changed


def groups(sa: SaPayload) -> list[Group]:
    """Return the payloads of an SA by proposal number, key exchanges with what they serve."""
    found: dict[int, Group] = {}
    number = 0
    for part in sa.payloads:
        if isinstance(part, Proposal):
            number = part.number
        found[number] = (*found.get(number, ()), part)
    return list(found.values())


def regrouped(sa: SaPayload, kept: Sequence[Group]) -> SaPayload:
    """Return an SA of these groups, numbered as the rules want it."""
    payloads: list[object] = []
    for number, group in enumerate(kept, start=1):
        protocol = 0
        for part in group:
            if isinstance(part, Proposal):
                protocol += 1
                payloads.append(evolve(part, number=number, protocol_number=protocol))
            else:
                payloads.append(part)
    return evolve(sa, payloads=tuple(payloads))  # type: ignore[arg-type]  # the parts came from an SA


def changing(kind: type, **changes: Any) -> Callable[[SaPayload], SaPayload]:
    """Return what changes the first part of ``kind`` in an SA payload."""

    def change(sa: SaPayload) -> SaPayload:
        parts = list(sa.payloads)
        place = next(number for number, part in enumerate(parts) if isinstance(part, kind))
        parts[place] = evolve(parts[place], **changes)
        return evolve(sa, payloads=tuple(parts))

    return change


def first(offer: Offer) -> Proposal:
    """Return the first proposal payload of an offer."""
    return next(part for part in to_payload(offer).payloads if isinstance(part, Proposal))
