"""Accounts at the edge: for how long they are kept, and what is told of them on the control socket.

What is finished is in the store and nowhere else, so all is read there, page by
page and in a thread of its own: neither the reactor nor commits wait for it.
A page is of `MOST_LOOKED_AT` records, of which those are told that fit what is asked
for; so one may be empty, and ``beyond`` says where the next begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred

from seckex.config.accounting import Accounting
from seckex.errors import Malformed
from seckex.net.control import Answer, Commands, Declined, Request
from seckex.passage.faces import Octets
from seckex.roles.accounts import Account, Retention, Total, Whose
from seckex.roles.accounts.accounts import Kinds
from seckex.roles.faces import Role
from seckex.roles.foreign_agent import ForeignAgent
from seckex.roles.home_agent import HomeAgent
from seckex.sa.store import Page, Store

SCHEMA: Final = "seckex.accounting/1"
MOST_LOOKED_AT: Final = 500

#: The roles that keep accounts, by their names, and what their records begin with.
SIDES: Final[Mapping[str, str]] = {"foreign-agent": "fa", "home-agent": "ha"}

_LONGEST_TEXT: Final = 253
_LONGEST_NAME: Final = 2048

T = TypeVar("T")
Aside: TypeAlias = Callable[[Callable[[], Answer]], Deferred[Answer]]


def retention_of(settings: Accounting) -> Retention:
    """Return what a ledger goes by."""
    return Retention(settings.records, float(settings.keep), settings.totals)


def sides_of(roles: Mapping[str, Role]) -> list[str]:
    """Return the names of those roles that keep accounts."""
    kept = {"foreign-agent": ForeignAgent, "home-agent": HomeAgent}
    return [name for name, cls in kept.items() if any(isinstance(role, cls) for role in roles.values())]


@frozen
class Wanted:
    """Which records to tell of: those that have all that is not empty here, and began then (seconds since 1970)."""

    node: str = ""
    domain: str = ""
    agent: str = ""
    pseudonym: str = ""
    since: float | None = None
    until: float | None = None

    def account(self, account: Account) -> bool:
        """Tell whether an account is wanted."""
        who = account.who
        return (
            self.node in ("", who.node)
            and self.domain in ("", who.domain)
            and self.agent in ("", who.agent)
            and self.pseudonym in ("", who.pseudonym.hex())
            and (self.since is None or account.began >= self.since)
            and (self.until is None or account.began < self.until)
        )

    def total(self, whose: Whose) -> bool:
        """Tell whether a total is wanted."""
        return (
            self.node in ("", whose.node)
            and self.domain in ("", whose.domain)
            and self.pseudonym in ("", whose.pseudonym.hex())
        )


class AccountingCommands:
    """See the module; ``local`` is our NAI, ``sides`` the roles that keep accounts."""

    def __init__(self, local: str, sides: list[str], store: Store, aside: Aside) -> None:
        self._local = local
        self._sides = sides
        self._store = store
        self._aside = aside

    def commands(self) -> Commands:
        """Return what answers each command, by its name; none where no role keeps accounts."""
        return {"accounting": self._asked} if self._sides else {}

    def _asked(self, request: Request) -> Answer | Deferred[Answer]:
        what = request.get("what")
        head = {"schema": SCHEMA, "local": self._local, "what": what}
        if what == "sides":
            return head | {"sides": self._sides}
        side = request.get("side")
        if side not in self._sides:
            raise Declined(f"side must be one of {', '.join(self._sides)}", "unfit")
        kinds = Kinds(SIDES[side])
        kind = {"finished": kinds.finished, "open": kinds.open, "totals": kinds.totals}.get(str(what))
        if kind is None:
            raise Declined("what must be one of sides, finished, open, totals", "unfit")
        beyond, newest, wanted = _beyond(request), request.get("newest") is True, _wanted(request)
        head |= {"side": side}

        def read() -> Answer:
            page = self._store.page(kind, beyond, MOST_LOOKED_AT, down=newest)
            tell = _totals if what == "totals" else _accounts
            return head | {"beyond": None if page.beyond is None else page.beyond.hex()} | tell(page, wanted)

        return self._aside(read)


def _accounts(page: Page, wanted: Wanted) -> dict[str, Any]:
    told: list[dict[str, Any]] = []
    damaged = list(page.damaged)
    for record in page.records:
        try:
            account = Account.read(record.octets)
        except Malformed as error:
            damaged.append(str(error))
            continue
        if wanted.account(account):
            told.append(shown_account(account))
    return {"records": told, "damaged": damaged}


def _totals(page: Page, wanted: Wanted) -> dict[str, Any]:
    told: list[dict[str, Any]] = []
    damaged = list(page.damaged)
    for record in page.records:
        try:
            whose, total = Whose.read(record.name), Total.read(record.octets)
        except Malformed as error:
            damaged.append(str(error))
            continue
        if wanted.total(whose):
            told.append(shown_total(whose, total))
    return {"records": told, "damaged": damaged}


def shown_account(account: Account) -> dict[str, Any]:
    """Return what is told of an account."""
    who = account.who
    return {
        "id": account.ident.hex(),
        "node": who.node,
        "agent": who.agent,
        "domain": who.domain,
        "pseudonym": who.pseudonym.hex(),
        "began": account.began,
        "as_of": account.at,
        "ended": account.ended,
        "whole": account.whole,
        "why": account.why,
        "outward": shown_octets(account.outward),
        "inward": shown_octets(account.inward),
    }


def shown_total(whose: Whose, total: Total) -> dict[str, Any]:
    """Return what is told of a total."""
    return {
        "node": whose.node,
        "domain": whose.domain,
        "pseudonym": whose.pseudonym.hex(),
        "passages": total.passages,
        "cut_short": total.cut_short,
        "since": total.since,
        "last": total.last,
        "outward": shown_octets(total.outward),
        "inward": shown_octets(total.inward),
    }


def shown_octets(octets: Octets) -> dict[str, int]:
    """Return what is told of one direction."""
    return {"carried": octets.carried, "proved": octets.proved, "acknowledged": octets.acknowledged}


def _beyond(request: Request) -> bytes | None:
    given = request.get("beyond")
    if given is None:
        return None
    try:
        beyond = bytes.fromhex(given) if isinstance(given, str) and len(given) <= _LONGEST_NAME else None
    except ValueError:
        beyond = None
    if beyond is None:
        raise Declined("beyond must be what an answer said", "unfit")
    return beyond


def _wanted(request: Request) -> Wanted:
    texts: dict[str, Any] = {name: request.get(name, "") for name in ("node", "domain", "agent", "pseudonym")}
    for name, text in texts.items():
        if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
            raise Declined(f"{name} must be text of at most {_LONGEST_TEXT} characters", "unfit")
    times: dict[str, Any] = {name: request.get(name) for name in ("since", "until")}
    for name, time in times.items():
        if time is not None and (isinstance(time, bool) or not isinstance(time, int | float)):
            raise Declined(f"{name} must be seconds since 1970", "unfit")
    return Wanted(**texts, **times)
