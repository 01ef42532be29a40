"""What would come of two configurations: a negotiation between their real machines, in memory.

Both files are read as their daemons would read them, keys included where they
can be read; where one cannot, both sides get one that is made up, so that a
configuration can be tried before its keys are there. No socket is opened and
nothing is stored. What stands beside the negotiation and would keep the two
from talking (ports, services) is told as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from seckex.cli.output import Misconfigured
from seckex.config.common import pattern_of
from seckex.config.initiator import InitiatorPeer, InitiatorSettings
from seckex.config.load import AnySettings, read_key0, read_settings
from seckex.config.problems import ConfigInvalid
from seckex.config.responder import ResponderPeer, ResponderSettings
from seckex.crypto.authority import Key0
from seckex.crypto.secrets import KEY0_SIZE, Secret
from seckex.events import (
    AssociationConfirmed,
    AssociationEstablished,
    ClocksApart,
    CounterReceived,
    CounterSent,
    Event,
    MessageDropped,
    NegotiationFailed,
    NegotiationRefused,
    OfferSent,
)
from seckex.exchange.terms import Terms
from seckex.net.history import failure
from seckex.node.rehearsal import Happened, Rehearsal, rehearse
from seckex.sa.algorithms import PROTOCOL_NAMES

SCHEMA: Final = "seckex.explain-files/1"
_MADE_UP_SPI: Final = 0x1000


class NoPair(Misconfigured):
    """The two files cannot be tried against each other."""


@frozen
class _Pair:
    initiator: InitiatorSettings
    responder: ResponderSettings
    asked: InitiatorPeer | None
    known: ResponderPeer | None


def explain_files(first: Path, second: Path) -> dict[str, Any]:
    """Return what would come of two files, as an object for programs; raises `ConfigInvalid` and `NoPair`."""
    pair = _pair(read_settings(first), read_settings(second))
    names = pair.initiator.identity.nai, pair.responder.identity.nai
    told: dict[str, Any] = {"schema": SCHEMA, "initiator": names[0], "responder": names[1], "agreed": False}
    told |= {"key0": None, "steps": [], "agreement": None, "failure": None, "remarks": list(_remarks(pair))}
    if pair.asked is None or pair.known is None:
        return told
    keys, remark = _keys(pair.asked, pair.known, names)
    told["key0"] = remark
    wall = time.time()
    ours = Terms(*names, keys[0], pair.initiator.policy.as_policy(), os.urandom)
    window = pair.responder.limits.clock_window
    theirs = Terms(*names[::-1], keys[1], pair.responder.policy.as_policy(), os.urandom, clock_window=window)
    result = rehearse(ours, theirs, wall)
    told["steps"] = [step for each in result.happened for step in _steps(each)]
    return told | _outcome(result)


def _pair(first: AnySettings, second: AnySettings) -> _Pair:
    """Return who begins and who answers, and what each says of the other."""
    if isinstance(second, InitiatorSettings):
        first, second = second, first
    if not isinstance(first, InitiatorSettings) or not isinstance(second, ResponderSettings):
        roles = f"{first.role} and {second.role}"
        raise NoPair(f"the files are of the roles {roles}: a negotiation is between an initiator and a responder")
    asked = next((peer for peer in first.peers if peer.nai == second.identity.nai), None)
    by_name = {peer.nai: peer for peer in second.peers}
    known = by_name.get(first.identity.nai) or by_name.get(pattern_of(first.identity.nai))
    return _Pair(first, second, asked, known)


def _remarks(pair: _Pair) -> Iterator[str]:
    ours, theirs = pair.initiator.identity.nai, pair.responder.identity.nai
    if pair.asked is None:
        yield f"{ours} has no peer {theirs}, and so never asks it"
    elif pair.asked.port != pair.responder.listen.port:
        yield f"{ours} asks at port {pair.asked.port}, {theirs} listens on port {pair.responder.listen.port}"
    if pair.known is None:
        yield f"{theirs} has no peer {ours}, and would meet it with silence"
        return
    if pair.asked is not None and pair.asked.authentication != pair.known.authentication:
        how = pair.asked.authentication, pair.known.authentication
        yield f"{ours} would prove who it is by {how[0]}, {theirs} wants it by {how[1]}"
    for forward in pair.initiator.forwards:
        if forward.peer != theirs:
            continue
        if forward.service not in pair.responder.services:
            yield f"the forward {forward.listen} wants the service {forward.service!r}, which {theirs} does not have"
        elif forward.service not in pair.known.services:
            yield f"the forward {forward.listen} wants the service {forward.service!r}, which {ours} may not use"


def _keys(asked: InitiatorPeer, known: ResponderPeer, names: tuple[str, str]) -> tuple[tuple[Key0, Key0], str]:
    """Return the KEY 0 of each side and where they are from."""
    made_up = Key0(Secret(os.urandom(KEY0_SIZE)), _MADE_UP_SPI, 1, names)
    if asked.authentication == "registration":
        return (made_up, made_up), "made up for this, since what both share comes of registering"
    if asked.key0 is None or known.key0 is None:
        return (made_up, made_up), "made up for this, since who they are is proved by certificates"
    try:
        read = tuple(read_key0(file) for file in (asked.key0, known.key0))
    except ConfigInvalid as error:
        return (made_up, made_up), f"made up for this, since {error.file} {error.problems[0].what}"
    first, second = (Key0(key.key, key.spi, key.kvno, (key.initiator, key.responder)) for key in read)
    return (first, second), "each side's own, from its file"


def _steps(happened: Happened) -> Iterator[dict[str, Any]]:
    what = _what(happened.event)
    if what is not None:
        about = {"at": round(happened.at, 3), "who": happened.who, "event": type(happened.event).__name__}
        yield about | what | {"message": str(happened.event)}


def _what(event: Event) -> dict[str, Any] | None:
    """Return a step: what it is, the offer it makes or takes, and the reasons for it."""
    match event:
        case OfferSent():
            return {"step": "offer", "round": event.round, "offer": event.offer, "reasons": []}
        case CounterSent():
            return {"step": "counter", "round": event.round, "offer": event.counter, "reasons": list(event.reasons)}
        case CounterReceived():
            return {"step": "counter-heard", "round": event.round, "offer": event.counter, "reasons": []}
        case AssociationEstablished(role="responder"):
            chosen = " + ".join(event.transforms.values())
            return {"step": "choice", "round": event.rounds, "offer": chosen, "reasons": list(event.reasons)}
        case AssociationEstablished():
            chosen = " + ".join(event.transforms.values())
            return {"step": "agreement", "round": event.rounds, "offer": chosen, "reasons": list(event.reasons)}
        case NegotiationRefused():
            reasons = [event.reason, *(reason for reason in event.detail if reason not in event.reason)]
            return {"step": "refusal", "round": 0, "offer": event.acceptable, "reasons": reasons}
        case NegotiationFailed():
            return {"step": "silence", "round": 0, "offer": "", "reasons": [event.why, *event.causes]}
        case MessageDropped():
            return {"step": "dropped", "round": 0, "offer": "", "reasons": [f"{event.cause}: {event.why}"]}
        case AssociationConfirmed() | ClocksApart():
            return {"step": "remark", "round": 0, "offer": "", "reasons": [str(event)]}
    return None


def _outcome(result: Rehearsal) -> dict[str, Any]:
    ours = result.ours
    if ours is not None and result.theirs is not None:
        agreed = {PROTOCOL_NAMES[chosen.protocol]: chosen.name for chosen in ours.agreement.algorithms}
        bound = ours.octet_bound or None
        agreement = {"transforms": agreed, "lifetime": ours.agreement.lifetime, "octets_bound": bound}
        return {"agreed": True, "agreement": agreement}
    ends = [one.event for one in result.happened if isinstance(one.event, NegotiationRefused | NegotiationFailed)]
    return {"failure": failure(ends[0]) if ends else None}
