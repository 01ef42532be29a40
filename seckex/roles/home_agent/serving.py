"""One registration at the home agent, from where its node is known on: docs/registration.md, sections 6 and 12.

What is refused needs nobody; what is granted may need keys of a key distribution
center, of which one after the other is asked. Whatever is replied is durable
before it leaves, with everything that it changes.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import evolve, field, frozen

from seckex.machine import (
    Arm,
    Deliver,
    Now,
    Persist,
    PersistConflict,
    Persisted,
    PersistFailed,
    Step,
    Tick,
    Transitions,
)
from seckex.roles.home_agent.answer import Heard, Said, Shared, accept, refuse, share
from seckex.roles.home_agent.judgement import Granted
from seckex.roles.home_agent.pseudonyms import NO_PSEUDONYM
from seckex.roles.home_agent.refusals import Sealed
from seckex.roles.home_agent.terms import HomeTerms
from seckex.wire import hop
from seckex.wire.extensions import Detail
from seckex.wire.keying import HomeKey, KeyMaterial, KeyRequest
from seckex.wire.numbers import Code, Keying

#: How long a center may take before the next one is asked.
KEYS_WITHIN: Final = 2.0

# What another center would say as well, since it is of the node.
_FINAL: Final = frozenset((Code.DISABLED_NODE, Code.WRONG_KEY_VERSION, Code.BAD_LIFETIME))
_KEY_SIZE: Final = 32


@frozen
class Issued:
    """A center has issued keys."""

    material: KeyMaterial


@frozen
class NotIssued:
    """A center has issued no keys, or could not be asked."""

    detail: Detail


@frozen
class Ask:
    """Say ``message`` to a center; its answer, under the same Identification, is an event."""

    center: str
    message: hop.Keys


@frozen
class Concluded:
    """The reply is durable."""

    said: Said


@frozen
class Failed:
    """There is no reply; ``code`` is for the hop."""

    code: Code
    cause: str
    why: str


@frozen
class Case:
    """What a registration goes by: the request, the ``centers`` in the order in which to ask them, the keys to tell.

    ``pseudonym`` is what the agent calls the node.
    """

    heard: Heard
    terms: HomeTerms
    centers: tuple[str, ...]
    keys: tuple[HomeKey, ...]
    pseudonym: bytes = NO_PSEUDONYM


def begin(case: Case, verdict: Granted | Sealed, now: Now) -> Step:
    """Return the first step; raises `Unheard` where nothing can be sealed to node and agent."""
    terms, shared = case.terms, share(case.heard, case.terms)
    if isinstance(verdict, Sealed):
        return _store(case, refuse(case.heard, shared, verdict, case.keys, terms, now))
    if verdict.choices is None:
        return _store(case, accept(case.heard, shared, verdict, (), case.pseudonym, case.keys, terms, now))
    if terms.keying is Keying.STATELESS:
        drawn = terms.entropy(3 * _KEY_SIZE)
        keys = drawn[:_KEY_SIZE], drawn[_KEY_SIZE : 2 * _KEY_SIZE], drawn[2 * _KEY_SIZE :]
        return _store(case, accept(case.heard, shared, verdict, keys, case.pseudonym, case.keys, terms, now))
    return _ask(case, shared, verdict, case.centers, Sealed(Code.KDC_UNREACHABLE, "no center is configured"), now)


def _store(case: Case, said: Said) -> Step:
    return Step(ExpectStored(said), (Persist(said.unit(case.heard.digest)),))


def _ask(case: Case, shared: Shared, granted: Granted, left: tuple[str, ...], refusal: Sealed, now: Now) -> Step:
    """Ask the next of those that are ``left``; without any it is ``refusal``."""
    if not left:
        return _store(case, refuse(case.heard, shared, refusal, case.keys, case.terms, now))
    heard, terms = case.heard, case.terms
    node, agent = heard.found.node, heard.asked.request.agent
    identification = int.from_bytes(terms.entropy(8), "big")
    request = KeyRequest(terms.keying, granted.lifetime, heard.found.credentials.kvno, heard.req, node.nai, agent)
    asking = Deliver(Ask(left[0], hop.Keys(identification, request)))
    state = ExpectKeys(case, shared, granted, left, identification)
    return Step(state, (asking, Arm(now.monotonic + KEYS_WITHIN)))


@frozen
class ExpectKeys:
    """Has granted a registration; awaits its keys of the first of the centers that are ``left``."""

    case: Case
    shared: Shared
    granted: Granted
    left: tuple[str, ...]
    identification: int = field(repr=False)

    @property
    def center(self) -> str:
        """Who was asked."""
        return self.left[0]

    def receive(self, event: Issued | NotIssued | Tick, now: Now) -> Step:
        """See `TRANSITIONS`."""
        case = self.case
        if isinstance(event, Issued):
            if event.material.mode is case.terms.keying:
                drawn, terms = event.material.keys, case.terms
                said = accept(case.heard, self.shared, self.granted, drawn, case.pseudonym, case.keys, terms, now)
                return _store(case, said)
            return self._next(Sealed(Code.KDC_UNREACHABLE, f"{self.center} has issued keys of another mode"), now)
        if isinstance(event, Tick):
            return self._next(Sealed(Code.KDC_UNREACHABLE, f"{self.center} does not answer"), now)
        detail = event.detail
        if detail.code in _FINAL or detail.code == Code.UNKNOWN_NODE:
            refusal = Sealed(Code(detail.code), f"{self.center}: {detail.text}")
            # A replica may not have heard of a node yet.
            later = self if detail.code == Code.UNKNOWN_NODE else evolve(self, left=self.left[:1])
            return later._next(refusal, now)
        return self._next(Sealed(Code.KDC_UNREACHABLE, f"{self.center}: {detail.text}"), now)

    def _next(self, refusal: Sealed, now: Now) -> Step:
        return _ask(self.case, self.shared, self.granted, self.left[1:], refusal, now)


@frozen
class ExpectStored:
    """Has a reply; awaits its being durable."""

    said: Said

    def receive(self, event: Persisted | PersistConflict | PersistFailed, _now: Now) -> Step:
        """See `TRANSITIONS`."""
        if isinstance(event, Persisted):
            return Step(Finished(), (Deliver(Concluded(self.said)),))
        if isinstance(event, PersistFailed):
            failed = Failed(Code.INSUFFICIENT_RESOURCES, "store", event.why)
        else:
            failed = Failed(Code.BEGIN_ANEW, "conflict", "the store has its reply, or an SPI that was drawn, already")
        return Step(Finished(), (Deliver(failed),))


@frozen
class Finished:
    """The end; awaits nothing."""

    def receive(self, _event: object, _now: Now) -> Step:
        """Stay."""
        return Step(self)


ServingState: TypeAlias = ExpectKeys | ExpectStored | Finished

TRANSITIONS: Final[Transitions] = {
    ExpectKeys: {
        Issued: frozenset({ExpectStored, ExpectKeys}),
        NotIssued: frozenset({ExpectKeys, ExpectStored}),
        Tick: frozenset({ExpectKeys, ExpectStored}),
    },
    ExpectStored: {
        Persisted: frozenset({Finished}),
        PersistConflict: frozenset({Finished}),
        PersistFailed: frozenset({Finished}),
    },
    Finished: {},
}
