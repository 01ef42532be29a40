"""Envelopes that are about to arrive, one of each shape and source, and all that their two ends remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from attrs import frozen

from seckex.crypto.envelope import NO_PATH
from seckex.delivery.keys.faces import Opened
from seckex.wire.envelope import decode_envelope
from seckex.wire.numbers import MessageKek, RecordFlag
from tests.delivery.keys.people import Talk

#: The parts of an envelope in their order; what a shape does not have is empty.
PARTS: Final = ("preamble", "mic", "routing", "dialog", "pair", "kek", "key", "body")
_DIALOG_SIZE: Final = 40


@frozen
class Scene:
    """An envelope ``octets`` is about to arrive at an end of ``talk``, which is its target unless it goes ``back``."""

    talk: Talk
    octets: bytes
    back: bool = False

    def arrive(self, octets: bytes) -> Opened:
        """Have something arrive where this envelope should."""
        return self.talk.heed(octets) if self.back else self.talk.hear(octets)

    def reflect(self, octets: bytes) -> Opened:
        """Have something arrive at who has said this envelope."""
        return self.talk.hear(octets) if self.back else self.talk.heed(octets)

    def state(self) -> object:
        """Return all that both ends remember, to be compared."""
        return state((self.talk.ours, self.talk.door))


def state(found: object) -> object:
    """Return what an object has in it, all the way down, as far as it is of the product's keys."""
    return _state(found, {})


def _state(found: Any, seen: dict[int, int]) -> object:
    if found is None or isinstance(found, int | float | str | bytes | Enum):
        return found
    if isinstance(found, dict):
        return [(_state(key, seen), _state(value, seen)) for key, value in found.items()]
    if isinstance(found, set | frozenset):
        return sorted(map(repr, found))
    if isinstance(found, list | tuple):
        return [_state(each, seen) for each in found]
    kind = type(found)
    if not kind.__module__.startswith(("seckex.delivery", "seckex.crypto.secrets")):
        return kind.__name__
    if id(found) in seen:
        return seen[id(found)]
    seen[id(found)] = len(seen)
    names = [name for each in kind.__mro__ for name in getattr(each, "__slots__", ())]
    fields = {name: getattr(found, name, None) for name in names if name != "__weakref__"}
    fields.update(getattr(found, "__dict__", {}))
    # What the last body's length was is no state: it chooses between two ways to the same end.
    fields.pop("_length", None)
    return [kind.__name__, [(name, _state(fields[name], seen)) for name in sorted(fields)]]


def parts(octets: bytes) -> dict[str, bytes]:
    """Return an envelope cut into `PARTS`."""
    found = decode_envelope(octets)
    mic_at = 44 if found.salt else 32
    headers_at = mic_at + 16
    behind = len(found.pair_octets) + len(found.kek_octets) + len(found.key_octets) + len(found.body)
    dialog_at = len(octets) - behind - _DIALOG_SIZE
    return {
        "preamble": octets[:mic_at],
        "mic": octets[mic_at:headers_at],
        "routing": octets[headers_at:dialog_at],
        "dialog": octets[dialog_at : dialog_at + _DIALOG_SIZE],
        "pair": found.pair_octets,
        "kek": found.kek_octets,
        "key": found.key_octets,
        "body": found.body,
    }


def joined(found: Mapping[str, bytes]) -> bytes:
    """Return the octets of parts, with the flags and lengths that they have now."""
    flags = int.from_bytes(found["preamble"][4:6], "big")
    for name, flag in (
        ("pair", RecordFlag.SERVICE_PAIR),
        ("kek", RecordFlag.KEK),
        ("key", RecordFlag.SESSION_KEY),
        ("routing", RecordFlag.ROUTING),
    ):
        flags = flags | flag if found[name] else flags & ~flag
    headers = sum(len(found[name]) for name in ("routing", "dialog", "pair", "kek", "key"))
    sizes = flags.to_bytes(2, "big") + headers.to_bytes(2, "big") + len(found["body"]).to_bytes(4, "big")
    preamble = found["preamble"][:4] + sizes + found["preamble"][12:]
    return preamble + b"".join(found[name] for name in PARTS[1:])


# -- scenes


def _whole(kind: MessageKek = MessageKek.PREKEY, **how: Any) -> Scene:
    talk = Talk(kind, **how)
    return Scene(talk, talk.say())


def _settled(**how: Any) -> Talk:
    talk = Talk(**how)
    talk.settle()
    return talk


def _new_key(**how: Any) -> Scene:
    talk = _settled(**how)
    talk.clock.wind(1)
    talk.ours.rotate(talk.clock.now)
    return Scene(talk, talk.say())


def _named(**how: Any) -> Scene:
    talk = _settled(**how)
    talk.clock.wind(1)
    talk.reconnect()
    return Scene(talk, talk.say())


def _short(**how: Any) -> Scene:
    talk = _settled(**how)
    return Scene(talk, talk.say())


def _named_back(**how: Any) -> Scene:
    talk = _settled(**how)
    talk.clock.wind(1)
    talk.reconnect()
    talk.hear(talk.say())
    return Scene(talk, talk.answer(), True)


def _short_back(**how: Any) -> Scene:
    talk = _settled(**how)
    return Scene(talk, talk.answer(), True)


SCENES: Final[Mapping[str, Callable[..., Scene]]] = {
    "whole": _whole,
    "whole, association": lambda **how: _whole(MessageKek.ASSOCIATION, **how),
    "whole, KDC": lambda **how: _whole(MessageKek.KDC, **how),
    "whole, three-phase": lambda **how: _whole(MessageKek.THREE_PHASE, **how),
    "anonymous": lambda **how: _whole(anonymous=True, **how),
    "new session key": _new_key,
    "named": _named,
    "short": _short,
    "named back": _named_back,
    "short back": _short_back,
    "short, anonymous": lambda **how: _short(anonymous=True, **how),
    "whole, relayed": lambda **how: _whole(path=NO_PATH, **how),
}
