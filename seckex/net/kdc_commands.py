"""What an operator asks a key distribution center: requests in, objects out, on a control socket or without a daemon.

KEY 0 leaves here sealed only (`seckex.net.kdc_fleets`). Everything that a request holds is checked here. What
an operator is refused goes into the audit log, as what is done does; who asks is told by the socket.

A request that comes before all nodes have been looked at waits until they have. No answer
looks at more than `LOOKED_AT` nodes or shows more than `MOST_LISTED`, so that none holds others up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from typing import Any, Final, TypeAlias, TypeVar

from twisted.internet.defer import Deferred

from seckex.config.problems import Unfit
from seckex.config.provision import Ethernet, HomeAddress
from seckex.config.values import NAI, Reader
from seckex.errors import Unfeasible
from seckex.machine import Now
from seckex.net.control import Answer, Asked, Commands, Declined, Request
from seckex.net.principal import Clock
from seckex.roles.faces import RoleAction
from seckex.roles.kdc.audit import Operator
from seckex.roles.kdc.center import Center, NewPrincipal
from seckex.roles.kdc.principals import Known, Principal, Standing
from seckex.wire.keying import DELETED, ENABLED, REVOKED

PRINCIPAL_SCHEMA: Final = "seckex.kdc-principal/1"
LIST_SCHEMA: Final = "seckex.kdc-list/1"
REVOKED_SCHEMA: Final = "seckex.kdc-revoked/1"

MOST_LISTED: Final = 200
LOOKED_AT: Final = 2000
MOST_REVOKED: Final = 64
#: What a node may be, by the flag that says so.
STATES: Final = {ENABLED: "enabled", 0: "disabled", REVOKED: "revoked", DELETED: "deleted"}

_LONGEST_PATTERN: Final = 256
_LAST_SECOND: Final = 2**40

T = TypeVar("T")

# Runs what a center wants when it is asked for something; raises what the call raises.
Asking: TypeAlias = Callable[[Callable[[Now], list[RoleAction]]], None]


class KdcCommands:
    """See the module; ``place`` is where requests come from."""

    def __init__(self, center: Center, ask: Asking, clock: Clock, place: str = "socket") -> None:
        self._center = center
        self._ask = ask
        self._clock = clock
        self._place = place

    def commands(self) -> Commands:
        """Return what answers each command, by its name."""
        commands: Commands = {
            "kdc-add": self._add,
            "kdc-allow": self._allow,
            "kdc-rotate": self._rotate,
            "kdc-revoke": self._revoke,
            "kdc-delete": self._delete,
            "kdc-list": self._list,
            "kdc-show": self._show,
        }
        return when_known(self._center, commands)

    def by(self, request: Request) -> Operator:
        """Return who asks."""
        return Operator(request.user if isinstance(request, Asked) else os.getuid(), self._place)

    # -- looking

    def _list(self, request: Request) -> Answer:
        after = request.get("after", 0)
        if type(after) is not int or after < 0:
            raise Declined("after must be a serial", "unfit")
        most = request.get("most", MOST_LISTED)
        if type(most) is not int or not 1 <= most <= MOST_LISTED:
            raise Declined(f"most must be a whole number from 1 to {MOST_LISTED}", "unfit")
        found, further = self._center.listed(after, _wanted(request), most, LOOKED_AT)
        return {
            "schema": LIST_SCHEMA,
            "principals": [told_of(known) for known in found],
            "more": further is not None,
            "after": further,
        }

    def _show(self, request: Request) -> Answer:
        return self._shown(self._center.find(text_of(request, "principal", NAI)))

    def _shown(self, known: Known) -> Answer:
        keys = self._center.home_keys(known.home_agent, self._clock.wall())
        told = [{"kem": int(key.kem), "until": key.until} for key in keys]
        return {"schema": PRINCIPAL_SCHEMA, **told_of(known), "home_keys": told}

    # -- acting

    def _add(self, request: Request) -> Deferred[Answer]:
        new = new_principal(request)
        answered, told = answering(f"{new.nai} is not added", self._shown)
        return self.do("add", new.nai, request, answered, lambda now, by: self._center.add(new, now, told, by))

    def _allow(self, request: Request) -> Deferred[Answer]:
        nai, enabled = text_of(request, "principal", NAI), request.get("enabled")
        if not isinstance(enabled, bool):
            raise Declined("enabled must be true or false", "unfit")
        answered, told = answering(f"{nai} is not {'enabled' if enabled else 'disabled'}", self._shown)
        what = "enable" if enabled else "disable"
        return self.do(
            what, nai, request, answered, lambda now, by: self._center.allow(nai, now, told, by, enabled=enabled)
        )

    def _rotate(self, request: Request) -> Deferred[Answer]:
        nai, until = text_of(request, "principal", NAI), request.get("until", 0)
        if type(until) is not int or not 0 <= until < _LAST_SECOND:
            raise Declined("until must be a moment, in seconds since 1970, or 0", "unfit")
        answered, told = answering(f"{nai} has no other KEY 0", self._shown)
        return self.do(
            "rotate", nai, request, answered, lambda now, by: self._center.rotate(nai, now, told, by, until=until)
        )

    def _delete(self, request: Request) -> Deferred[Answer]:
        nai = text_of(request, "principal", NAI)
        answered, told = answering(f"{nai} is not deleted", self._shown)
        return self.do("delete", nai, request, answered, lambda now, by: self._center.delete(nai, now, told, by))

    def _revoke(self, request: Request) -> Answer | Deferred[Answer]:
        nais = names_of(request, MOST_REVOKED)
        if request.get("check") is True:
            return self._revocable(nais)
        answered, told = answering(
            f"{_some(nais)} is not revoked",
            lambda known: {"schema": REVOKED_SCHEMA, "principals": [told_of(one) for one in known]},
        )
        return self.do(
            "revoke", _some(nais), request, answered, lambda now, by: self._center.revoke(nais, now, told, by)
        )

    def _revocable(self, nais: Sequence[str]) -> Answer:
        """Answer what is known of nodes that are to be revoked, and change nothing."""
        return {"schema": REVOKED_SCHEMA, "principals": [told_of(self._center.find(nai)) for nai in nais]}

    def do(
        self,
        what: str,
        nai: str,
        request: Request,
        answered: Deferred[Answer],
        asked: Callable[[Now, Operator], list[RoleAction]],
    ) -> Deferred[Answer]:
        """Have the center do something; a refusal is entered."""
        by = self.by(request)
        try:
            self._ask(lambda now: asked(now, by))
        except Unfeasible as error:
            self.refuse(what, nai, str(error), request)
            raise
        return answered

    def refuse(self, what: str, nai: str, why: str, request: Request) -> None:
        """Enter that something was refused."""
        by = self.by(request)
        self._ask(lambda now: self._center.declined(what, nai, why, now, by))


def when_known(center: Center, commands: Commands) -> Commands:
    """Return commands that wait until all nodes have been looked at."""

    def waiting(command: Callable[[Request], Any]) -> Callable[[Request], Any]:
        def answer(request: Request) -> Any:
            if not center.directory.loading:
                return command(request)
            known: Deferred[None] = Deferred()

            def go_on() -> None:
                if not known.called:
                    known.callback(None)

            center.when_known(go_on)
            return known.addCallback(lambda _: command(request))

        return answer

    return {name: waiting(command) for name, command in commands.items()}


def answering(failed: str, shown: Callable[[Any], Answer]) -> tuple[Deferred[Answer], Callable[[Any], None]]:
    """Return what is answered, and what takes nodes as they are then, or why nothing was stored."""
    answered: Deferred[Answer] = Deferred()

    def told(outcome: Any) -> None:
        if answered.called:
            # Nobody waits any more.
            return
        if isinstance(outcome, str):
            answered.errback(Declined(f"{failed}: {outcome}", "not-stored"))
        else:
            answered.callback(shown(outcome))

    return answered, told


def told_of(known: Known) -> dict[str, Any]:
    """Return what is told of a node."""
    whole = isinstance(known, Principal)
    address = known.home_address if isinstance(known, Principal) else None
    layer2 = known.layer2 if isinstance(known, Principal) else None
    return {
        "principal": known.nai,
        "home_agent": known.home_agent,
        "kvno": known.kvno,
        "enabled": known.enabled,
        "state": state_of(known),
        "until": known.until or None,
        "serial": known.serial,
        "created": known.created if isinstance(known, Principal) else None,
        "home_address": None if address is None else str(address),
        "layer2": None if layer2 is None else layer2.address.hex(":"),
        "copied": not whole,
    }


def state_of(known: Known) -> str:
    """Return the word for what became of a node."""
    return "enabled" if known.enabled else "deleted" if known.deleted else "revoked" if known.revoked else "disabled"


def new_principal(request: Request) -> NewPrincipal:
    """Return the node that a request wants to add."""
    return NewPrincipal(
        nai=text_of(request, "principal", NAI),
        home_agent=text_of(request, "home_agent", NAI),
        home_address=optional(request, "home_address", HomeAddress()),
        layer2=optional(request, "layer2", Ethernet()),
    )


def names_of(request: Request, most: int) -> list[str]:
    """Return the names in ``principals``."""
    names = request.get("principals")
    if not isinstance(names, list) or not 1 <= len(names) <= most:
        raise Declined(f"principals must be a list of 1 to {most} names", "unfit")
    return [text_of({"principals": name}, "principals", NAI) for name in names]


def text_of(request: Request, name: str, reader: Reader) -> Any:
    """Return what ``reader`` reads of a text that has to be there."""
    try:
        return reader.read(request.get(name))
    except Unfit as error:
        raise Declined(f"{name} {error}", "unfit") from error


def optional(request: Request, name: str, reader: Reader) -> Any:
    """Return what ``reader`` reads of a text, None where there is none."""
    return None if request.get(name) is None else text_of(request, name, reader)


def _some(nais: Sequence[str]) -> str:
    return nais[0] if len(nais) == 1 else f"{nais[0]} and {len(nais) - 1} more"


def _wanted(request: Request) -> Callable[[str, Standing], bool]:
    pattern, state = request.get("pattern"), request.get("state")
    home_agent = optional(request, "home_agent", NAI)
    if pattern is not None and not (isinstance(pattern, str) and len(pattern) <= _LONGEST_PATTERN):
        raise Declined(f"pattern must be text of at most {_LONGEST_PATTERN} characters", "unfit")
    if state is not None and state not in STATES.values():
        raise Declined(f"state must be one of {', '.join(STATES.values())}", "unfit")
    matches = None if pattern is None else re.compile(translate(pattern)).match
    home = None if home_agent is None else home_agent.encode()

    def wanted(nai: str, standing: Standing) -> bool:
        found = STATES[standing.flags]
        return (
            (found != "deleted" if state is None else found == state)
            and home in (None, standing.home_agent)
            and (matches is None or matches(nai) is not None)
        )

    return wanted
