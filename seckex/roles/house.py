"""Several roles in one process, as one.

A message goes to the role that takes its kind, an answer to the one that awaits
its Identification, an outcome to the one whose token it has. CHANGED, which asks for no
answer, goes to each role that takes it. What a role says
to our own name is heard here, by whichever role it is for: so a key
distribution center may live in the process of a home agent, which asks it like any other.

A role that raises, which is a fault of the program, costs what it was given and no more: ``House.fault`` is
told, and the others go on. One whose tick has failed has its next `_AGAIN_AFTER` seconds later.

Limit: what roles of one process say to each other goes back and forth at most
`MOST_TURNS` times in one turn; more is a fault of the program and is reported as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from seckex.errors import ApiMisuse, Malformed, UnsupportedVersion
from seckex.machine import Now, Path
from seckex.node.actions import Commit, Work
from seckex.roles.faces import Adopting, Relay, Role, RoleAction
from seckex.sa.store import Outcome, Snapshot
from seckex.wire.general import Header, answers, decode_header, encode_header
from seckex.wire.numbers import HEADER_SIZE, MESSAGE_TYPE, REGISTRATION_REPLY, REGISTRATION_REQUEST, ROAMING_KINDS, Kind

MOST_TURNS: Final = 1000

_AGAIN_AFTER: Final = 1.0
_KIND_AT: Final = slice(2, 4)
_IDENTIFICATION: Final = slice(4, 12)
_BEGINNING: Final = 4
# What the header of every kind begins with: over hops it is looked up, not read.
_BEGINNINGS: Final = {
    encode_header(Header(kind, answers(kind), 0, 0))[:_BEGINNING]: (kind, answers(kind)) for kind in ROAMING_KINDS
}
# A mobile node hears the hints on ports of its own; elsewhere they are a node's.
_FROM_OUTSIDE: Final = ROAMING_KINDS | {Kind.COOKIE, Kind.USE_TCP}
_NOTHING: Final = ()
_REGISTRATION: Final = (REGISTRATION_REQUEST, REGISTRATION_REPLY)


def is_roaming(octets: bytes) -> bool:
    """Tell whether a message that anybody may have sent is for roles, rather than for a node's exchanges."""
    if len(octets) < 4:
        return False
    return octets[0] in _REGISTRATION or (
        octets[0] == MESSAGE_TYPE and int.from_bytes(octets[_KIND_AT], "big") in ROAMING_KINDS
    )


def _raised(_role: str, error: Exception) -> None:
    raise error


class House:
    """The roles of the principal ``local``, by name; ``fault`` is told which of them has raised what."""

    def __init__(self, local: str, roles: Mapping[str, Role]) -> None:
        self.local = local
        self.roles = roles
        self.fault: Callable[[str, Exception], None] = _raised
        self._again: dict[str, float] = {}
        self._tokens: dict[int, tuple[Role, int]] = {}
        self._last = 0
        self.strays = 0

    @property
    def counters(self) -> dict[str, int]:
        """Those of all roles, behind the names of these."""
        told = {f"{name}.{what}": n for name, role in self.roles.items() for what, n in role.counters.items()}
        return told | {"strays": self.strays}

    def status(self, now: Now) -> dict[str, Any]:
        """Return what each role tells, by its name."""
        return {name: role.status(now) for name, role in self.roles.items()}

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:
        """Start all."""
        actions: list[RoleAction] = []
        for role in self.roles.values():
            actions += self._run(role, self._had(role, role.start, snapshot, now), now)
        return actions

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:
        """Give a message from outside to the role that takes its kind."""
        role = self._taking(_kind_of(octets))
        if role is None:
            self.strays += 1
            return []
        return self._run(role, self._had(role, role.received, octets, path, now), now)

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:
        """Give a message from a neighbour to the role that takes or awaits it."""
        actions: list[RoleAction] = []
        for role in self._hearing(octets):
            actions += self._run(role, self._had(role, role.heard, neighbour, octets, now), now)
        return actions

    def unreachable(self, neighbour: str, octets: bytes, why: str, code: int, now: Now) -> list[RoleAction]:
        """Tell whoever wanted to say ``octets`` to a neighbour that this could not be."""
        identification = decode_header(octets[:HEADER_SIZE]).identification
        role = self._awaiting(identification)
        if role is None:
            return []
        return self._run(role, self._had(role, role.unreachable, neighbour, identification, why, code, now), now)

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:
        """Tell all roles that nothing could be sent to ``path``."""
        actions: list[RoleAction] = []
        for role in self.roles.values():
            actions += self._run(role, self._had(role, role.failed, path, why, now), now)
        return actions

    def gone(self, spi_in: int, now: Now, *, by_peer: bool) -> list[RoleAction]:
        """Tell roles that adopt associations that one has ended; see `Adopting.gone`."""
        actions: list[RoleAction] = []
        for role in self.roles.values():
            if isinstance(role, Adopting):
                told = self._had(role, lambda role=role: role.gone(spi_in, now, by_peer=by_peer))
                actions += self._run(role, told, now)
        return actions

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:
        """See `Role.committed`."""
        role, own = self._owner(token)
        return self._run(role, self._had(role, role.committed, own, outcome, now), now)

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:
        """See `Role.worked`."""
        role, own = self._owner(token)
        return self._run(role, self._had(role, role.worked, own, result, now), now)

    def ask(self, role: Role, what: Callable[[], Sequence[RoleAction]], now: Now) -> list[RoleAction]:
        """Run what ``role`` wants after it was asked for something by an operator."""
        return self._run(role, what(), now)

    def tick(self, now: Now) -> list[RoleAction]:
        """Do what is due."""
        actions: list[RoleAction] = []
        for name, role in self.roles.items():
            deadline = self._deadline(name, role, now)
            if deadline is not None and deadline <= now.monotonic:
                self._again[name] = now.monotonic + _AGAIN_AFTER
                ticked = self._had(role, role.tick, now)
                if ticked is not _NOTHING:
                    del self._again[name]
                actions += self._run(role, ticked, now)
        return actions

    def _deadline(self, name: str, role: Role, now: Now) -> float | None:
        deadline = role.next_deadline(now)
        if deadline is not None and name in self._again:
            return max(deadline, self._again[name])
        return deadline

    def next_deadline(self, now: Now) -> float | None:
        """Return when `tick` has something to do (monotonic)."""
        first: float | None = None
        # After each message: the plainest way is the cheapest.
        for name, role in self.roles.items():
            deadline = self._deadline(name, role, now)
            if deadline is not None and (first is None or deadline < first):
                first = deadline
        return first

    # -- what goes wrong

    def _had(self, role: Role, take: Callable[..., list[RoleAction]], *what: object) -> Sequence[RoleAction]:
        """Return what ``role`` wants when it takes something; nothing if that fails."""
        try:
            return take(*what)
        except Exception as error:
            self._fault(role, error)
            return _NOTHING

    def _fault(self, role: Role, error: Exception) -> None:
        self.fault(next((name for name, each in self.roles.items() if each is role), ""), error)

    # -- who is meant

    def _taking(self, kind: int) -> Role | None:
        for role in self.roles.values():
            if kind in role.kinds:
                return role
        return None

    def _awaiting(self, identification: int) -> Role | None:
        for role in self.roles.values():
            if role.awaits(identification):
                return role
        return None

    def _hearing(self, octets: bytes) -> list[Role]:
        """Return whom a message from a neighbour is for; a stray is counted."""
        known = _BEGINNINGS.get(octets[:_BEGINNING]) if len(octets) >= HEADER_SIZE else None
        if known is None:
            self.strays += 1
            return []
        kind, answer = known
        if kind is Kind.CHANGED:
            found = [role for role in self.roles.values() if kind in role.kinds]
        else:
            one = self._awaiting(int.from_bytes(octets[_IDENTIFICATION], "big")) if answer else self._taking(kind)
            found = [] if one is None else [one]
        self.strays += not found
        return found

    def _owner(self, token: int) -> tuple[Role, int]:
        if token not in self._tokens:
            raise ApiMisuse(f"nothing has the token {token}")
        return self._tokens.pop(token)

    # -- what they ask for

    def _token(self, asking: Role, action: Commit | Work) -> int:
        self._last += 1
        self._tokens[self._last] = asking, action.token
        return self._last

    def _is_inside(self, action: RoleAction) -> bool:
        kind = type(action)
        return kind is Commit or kind is Work or (isinstance(action, Relay) and action.neighbour == self.local)

    def _run(self, role: Role, asked: Sequence[RoleAction], now: Now) -> list[RoleAction]:
        """Return what is to be done outside; what is said to ourselves is heard at once."""
        if not any(self._is_inside(action) for action in asked):
            return list(asked)
        outside: list[RoleAction] = []
        waiting = deque((role, action) for action in asked)
        turns = 0
        while waiting:
            asking, action = waiting.popleft()
            if isinstance(action, Commit):
                outside.append(Commit(self._token(asking, action), action.unit))
            elif isinstance(action, Work):
                outside.append(Work(self._token(asking, action), action.call))
            elif isinstance(action, Relay) and action.neighbour == self.local:
                turns += 1
                if turns > MOST_TURNS:
                    self._fault(asking, ApiMisuse("roles of one process do not stop talking to each other"))
                    break
                said = [
                    (hearing, each)
                    for hearing in self._hearing(action.octets)
                    for each in self._had(hearing, hearing.heard, self.local, action.octets, now)
                ]
                waiting.extendleft(reversed(said))
            else:
                outside.append(action)
        return outside


def _kind_of(octets: bytes) -> int:
    """Return a registration message's type, or a general message's kind; -1 for what is neither."""
    if octets and octets[0] in _REGISTRATION:
        return octets[0]
    try:
        header = decode_header(octets[:HEADER_SIZE])
    except (Malformed, UnsupportedVersion):
        return -1
    return header.kind if header.kind in _FROM_OUTSIDE else -1
