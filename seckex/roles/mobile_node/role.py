"""The mobile node as a role: what is said to it, read, and given to whom it concerns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from seckex.errors import AuthenticationFailed, Malformed, PeerFault, UnsupportedVersion
from seckex.machine import Now, Path, Report
from seckex.node.actions import NodeAction
from seckex.node.drops import Drops
from seckex.passage.faces import Admission
from seckex.roles.faces import RoleAction
from seckex.roles.mobile_node import showing
from seckex.roles.mobile_node.attempt import CookieAsked, Hint, Refused, Reply
from seckex.roles.mobile_node.keeping import Keeping
from seckex.roles.mobile_node.plan import Plan
from seckex.roles.mobile_node.registering import ExpectReply
from seckex.roles.mobile_node.request import Entropy
from seckex.sa.store import Outcome, Snapshot
from seckex.wire.advertisement import decode_advertisement
from seckex.wire.extensions import Cookie
from seckex.wire.general import decode_header, decode_message
from seckex.wire.mobileip import AgentRefusal, decode_node_reply
from seckex.wire.numbers import REGISTRATION_REPLY, Kind

_KINDS: Final = frozenset((int(Kind.ADVERTISEMENT), int(Kind.COOKIE), REGISTRATION_REPLY))


def _none_taken(_spi: int) -> bool:
    return False


class MobileNode:
    """See the module.

    ``entropy`` returns that many random octets; ``taken`` tells which SPIs name something here already.
    """

    def __init__(self, plan: Plan, entropy: Entropy, taken: Callable[[int], bool] = _none_taken) -> None:
        self.keeping = Keeping(plan, entropy, taken)
        self._drops = Drops()

    # -- what a role has

    @property
    def kinds(self) -> frozenset[int]:
        """See `Role.kinds`."""
        return _KINDS

    @property
    def counters(self) -> dict[str, int]:
        """See `Role.counters`."""
        return {
            **self._drops.counters,
            "agents": len(self.keeping.agents),
            "moves": self.keeping.moves.count,
            "commits-waiting": self.keeping.course.waiting,
        }

    def state(self, now: Now) -> str:
        """Return in words whether it is registered, as the status has it."""
        keeping = self.keeping
        registration = keeping.registration
        if registration is not None and registration.since + registration.lifetime > now.wall and keeping.wanted:
            # It stays so while it is being renewed.
            return showing.REGISTERED[keeping.moves.in_vain]
        return showing.state(self.keeping)

    def status(self, now: Now) -> dict[str, Any]:
        """See `Role.status`."""
        return showing.status(self.keeping, now)

    def start(self, snapshot: Snapshot, now: Now) -> list[RoleAction]:
        """See `Role.start`."""
        actions: list[RoleAction] = []
        self.keeping.start(snapshot, now, actions)
        return actions

    def admission(self, spi_in: int) -> Admission | None:
        """Return what links under an association, by its SPI here, are built with; None where they go directly."""
        registration = self.keeping.registration
        return None if registration is None or registration.spi_in != spi_in else registration.admission

    # -- what happens

    def received(self, octets: bytes, path: Path, now: Now) -> list[RoleAction]:
        """See `Role.received`."""
        actions: list[RoleAction] = []
        try:
            if octets[0] == REGISTRATION_REPLY:
                self._replied(octets, path, now, actions)
            elif decode_header(octets).kind is Kind.COOKIE:
                self._cookie_asked(octets, path, now, actions)
            else:
                self._advertised(octets, path, now, actions)
        except (Malformed, UnsupportedVersion) as error:
            self._drop("malformed", error, path, now, actions)
        except AuthenticationFailed as error:
            self._drop("unauthenticated", error, path, now, actions)
        except PeerFault as error:
            self._drop("incompatible", error, path, now, actions)
        self.keeping.consider(now, actions)
        return actions

    def _drop(self, cause: str, error: Exception, path: Path, now: Now, actions: list[RoleAction]) -> None:
        noted: list[NodeAction] = []
        self._drops.note(cause, str(error), path, now, noted)
        actions += (action for action in noted if isinstance(action, Report))

    def heard(self, neighbour: str, octets: bytes, now: Now) -> list[RoleAction]:  # noqa: ARG002  # it has no neighbours
        """See `Role.heard`."""
        return []

    def awaits(self, identification: int) -> bool:  # noqa: ARG002  # it asks nobody over hops
        """See `Role.awaits`."""
        return False

    def unreachable(
        self,
        neighbour: str,  # noqa: ARG002  # it asks nobody over hops
        identification: int,  # noqa: ARG002  # the same
        why: str,  # noqa: ARG002  # the same
        code: int,  # noqa: ARG002  # the same
        now: Now,  # noqa: ARG002  # the same
    ) -> list[RoleAction]:
        """See `Role.unreachable`."""
        return []

    def failed(self, path: Path, why: str, now: Now) -> list[RoleAction]:
        """See `Role.failed`."""
        actions: list[RoleAction] = []
        if self._expecting(path) is not None:
            self.keeping.course.drive(Hint(f"{path} cannot be reached: {why}", unsent=True), now, actions)
        return actions

    def committed(self, token: int, outcome: Outcome | str, now: Now) -> list[RoleAction]:
        """See `Role.committed`."""
        actions: list[RoleAction] = []
        self.keeping.course.committed(token, outcome, now, actions)
        self.keeping.consider(now, actions)
        return actions

    def worked(self, token: int, result: object, now: Now) -> list[RoleAction]:  # noqa: ARG002  # nothing is done aside
        """See `Role.worked`."""
        return []

    def tick(self, now: Now) -> list[RoleAction]:
        """See `Role.tick`."""
        actions: list[RoleAction] = []
        self.keeping.tick(now, actions)
        return actions

    def next_deadline(self, now: Now) -> float | None:
        """See `Role.next_deadline`."""
        return self.keeping.next_deadline(now)

    # -- what comes in

    def _advertised(self, octets: bytes, path: Path, now: Now, actions: list[RoleAction]) -> None:
        identification, said = decode_advertisement(octets)
        keeping = self.keeping
        if not keeping.soliciting.asked(identification, path.via) and (identification or not keeping.plan.groups):
            raise AuthenticationFailed("an advertisement that nobody asked for")
        keeping.advertised(said, path.host, now, actions, answer=keeping.soliciting.asked_at(identification, path.host))

    def _replied(self, octets: bytes, path: Path, now: Now, actions: list[RoleAction]) -> None:
        said = decode_node_reply(octets)
        state = self._expecting(path)
        if state is None or said.header.identification != state.identification:
            self._drops.counters["answers-unexpected"] += 1
        elif isinstance(said, AgentRefusal):
            self.keeping.course.drive(Refused(said), now, actions)
        else:
            try:
                self.keeping.course.drive(Reply(said), now, actions)
            except AuthenticationFailed as error:
                self.keeping.course.drive(Hint(f"a reply from {path.host} does not verify: {error}"), now, actions)
                raise

    def _cookie_asked(self, octets: bytes, path: Path, now: Now, actions: list[RoleAction]) -> None:
        message = decode_message(octets)
        state = self._expecting(path)
        cookies = [each for each in message.extensions if isinstance(each, Cookie)]
        if state is None or message.header.identification != state.identification or not cookies:
            self._drops.counters["answers-unexpected"] += 1
        else:
            self.keeping.course.drive(CookieAsked(cookies[0].cookie), now, actions)

    def _expecting(self, path: Path) -> ExpectReply | None:
        """Return the state that awaits what comes through a port."""
        state = self.keeping.course.state
        return state if isinstance(state, ExpectReply) and state.attempt.via == path.via else None
