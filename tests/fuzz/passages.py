"""Targets of passages: frames, both ends of a hop, and an agent between two, fed with what nobody should say.

Each end comes twice: as an attacker has it, without a key, and ``authenticated``, as an end gone mad has it, whose
PROOFs are right. Whatever comes, in whatever pieces, a hop raises nothing, keeps and delivers no more than it may, and
without a key delivers no octet that its other end did not say before a PROOF was due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from random import Random
from typing import Final

from seckex.crypto.passage import RunningMac
from seckex.errors import Malformed, UnsupportedVersion
from seckex.passage.faces import MOST_HELD, MOST_UNPROVED
from seckex.passage.relay import Across
from seckex.wire import passage as wire
from seckex.wire.passage import OPEN_SIZE, PROOF_SIZE, FrameKind
from tests.fuzz.target import Function, Target
from tests.passage.parts import Conversation, Side
from tests.passage.test_relay import Joined

_DECODERS: Final[dict[FrameKind, tuple[Callable[[bytes], object], Callable[..., bytes]]]] = {
    FrameKind.ACCEPT: (wire.decode_accept, wire.encode_accept),
    FrameKind.PROOF: (wire.decode_proof, wire.encode_proof),
    FrameKind.REFUSE: (wire.decode_refuse, wire.encode_refuse),
}


def said() -> Conversation:
    """Return a hop over which each kind of frame but REFUSE has gone."""
    hop = Conversation()
    hop.say(b"early")
    hop.run()
    for words, inward in ((b"a question", False), (b"an answer", True), (b"thanks", False)):
        hop.say(words, inward=inward)
        hop.run()
        hop.now += 2
        for side in (hop.caller, hop.callee):
            side.hop.tick(hop.now)
        hop.run()
    return hop


def _opens() -> Iterator[tuple[str, bytes]]:
    yield "open", bytes(said().caller.said[:OPEN_SIZE])


def _open(octets: bytes) -> None:
    if wire.encode_open(wire.decode_open(octets)) != octets:
        raise AssertionError("an OPEN is not what was read")


def _frames() -> Iterator[tuple[str, bytes]]:
    hop = said()
    yield "accept", bytes(hop.callee.said[: wire.ACCEPT_SIZE])
    yield "proof", bytes(hop.caller.said[-PROOF_SIZE:])
    yield "data", wire.data_header(5) + b"octets"
    hop.callee.hop.refuse(300)
    yield "refuse", b"".join(hop.callee.hop.gather(memoryview(b""), hop.now))


def _frame(octets: bytes) -> None:
    kind, length = wire.decode_header(octets)
    if kind is FrameKind.DATA:
        if wire.data_header(length) != octets[:4]:
            raise AssertionError("a header is not what was read")
        return
    decode, encode = _DECODERS[kind]
    if encode(decode(octets)) != octets:
        raise AssertionError(f"{kind.name} is not what was read")


@contextmanager
def _believing() -> Iterator[None]:
    """Have every PROOF verify."""
    verify = RunningMac.verify

    def believe(self: RunningMac, sent: int, received: int, mac: bytes) -> None:  # noqa: ARG001  # see RunningMac
        self.tag(sent, received)

    RunningMac.verify = believe  # type: ignore[method-assign]  # for the time of a session
    try:
        yield
    finally:
        RunningMac.verify = verify  # type: ignore[method-assign]  # as above


class HopStream(Target):
    """Octets in place of what an end is about to hear; the first tells how far the hop is."""

    def __init__(self, *, caller: bool, authenticated: bool) -> None:
        self.name = f"hop_{'caller' if caller else 'callee'}{'_authenticated' if authenticated else ''}"
        self._caller = caller
        self._authenticated = authenticated

    def session(self) -> AbstractContextManager[object]:
        """Have every PROOF verify, if so."""
        return _believing() if self._authenticated else nullcontext()

    def made(self) -> Iterator[tuple[str, bytes]]:
        """Yield all that an end says, what it says once the hop is open, and much at once."""
        hop = said()
        octets = bytes(hop.callee.said if self._caller else hop.caller.said)
        yield "from_the_beginning", b"\x00" + octets
        yield "of_an_open_hop", b"\x01" + octets[wire.ACCEPT_SIZE if self._caller else OPEN_SIZE + 9 + PROOF_SIZE :]
        yield "much", b"\x01" + wire.data_header(5000) + bytes(5000) + octets[-PROOF_SIZE:]

    def run(self, octets: bytes) -> None:
        """Let them arrive, in pieces that they determine themselves."""
        hop = Conversation(size=3000)
        if octets[:1] > b"\x00":
            hop.open()
        else:
            hop.caller.flush(hop.now)
        side = hop.caller if self._caller else hop.callee
        random = Random(len(octets) ^ int.from_bytes(octets[-8:], "big"))  # noqa: S311  # has to repeat itself
        at = 1
        while at < len(octets):
            size = random.choice((1, 3, 36, 52, 64, 500, 70_000))
            side.hear(octets[at : at + size], hop.now)
            side.flush(hop.now)
            at += size
        self._check(side, len(octets))
        side.hop.ended_by_peer()
        side.hop.tick(hop.now + 11)
        side.flush(hop.now)

    def _check(self, side: Side, came: int) -> None:
        hop = side.hop
        if len(hop.held) > MOST_HELD or len(side.octets.came) > min(came, hop.arriving.carried):
            raise AssertionError("more than there may be")
        if hop.arriving.carried - hop.arriving.proved > MOST_UNPROVED:
            raise AssertionError("too much without a PROOF")
        if not self._authenticated and len(side.said) > wire.REFUSE_SIZE + wire.ACCEPT_SIZE + OPEN_SIZE + PROOF_SIZE:
            raise AssertionError("more is said than anybody may cause")


class RelayedStream(Target):
    """What an agent hears of a node gone mad, or of a home agent: the first octet tells."""

    name = "passage_relay"

    def session(self) -> AbstractContextManager[object]:
        """Have every PROOF verify."""
        return _believing()

    def made(self) -> Iterator[tuple[str, bytes]]:
        """Yield what either says."""
        hop = said()
        yield "outward", b"\x00" + bytes(hop.caller.said[OPEN_SIZE + 9 + PROOF_SIZE :])
        yield "inward", b"\x01" + bytes(hop.callee.said[wire.ACCEPT_SIZE :])

    def run(self, octets: bytes) -> None:
        """Pass on what can be, and have the other end take it."""
        joined = Joined()
        inward = octets[:1] > b"\x00"
        across: Across = joined.inward if inward else joined.outward
        sink = joined.node if inward else joined.home
        rest = bytearray()
        for at in range(1, len(octets), 777):
            rest += octets[at : at + 777]
            with memoryview(bytearray(rest)) as view:
                used = across.take(view, joined.now)
                sink.hear(bytes(view[:used]), joined.now)
            del rest[:used]
            if (joined.back if inward else joined.front).ending is not None:
                break
        # What an agent passes on is never what ends the next hop for a reason of the agent's own making.
        if sink.hop.ending is not None:
            raise AssertionError(f"an agent broke a rule: {sink.hop.ending}")


def targets() -> list[Target]:
    """Return the targets of this module."""
    decoding = (Malformed, UnsupportedVersion)
    return [
        Function("passage-open", _open, Target.mutate, _opens, *decoding),
        Function("passage-frame", _frame, Target.mutate, _frames, *decoding),
        *(HopStream(caller=caller, authenticated=known) for caller in (False, True) for known in (False, True)),
        RelayedStream(),
    ]
