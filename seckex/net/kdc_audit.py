"""What an operator asks about the audit log of a key distribution center: entries, and whether any was altered.

The log is read aside from the reactor, which serves meanwhile.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

from seckex.crypto.atrest import MasterKey
from seckex.machine import Now
from seckex.net.control import Answer, Commands, Declined, Request
from seckex.net.kdc_fleets import Aside
from seckex.roles.kdc.audit import AUDIT, Operator, entry
from seckex.sa.logs import LogCheck, LogEntry
from seckex.sa.store import Append

AUDIT_SCHEMA: Final = "seckex.kdc-audit-entries/1"
VERIFIED_SCHEMA: Final = "seckex.kdc-audit-check/1"
MOST_ENTRIES: Final = 500


class Logs(Protocol):
    """Who keeps logs, and may be asked from any thread."""

    def entries(self, log: str, after: int, most: int) -> list[LogEntry]:
        """Return entries after a number."""
        ...

    def verify(self, log: str) -> LogCheck:
        """Follow a log to its end."""
        ...


def exchange_entries(now: Now, master: MasterKey, begins: bool, by: Operator | None) -> tuple[Append, ...]:
    """Return what the log gets when the exchange of the master key begins, or ends."""
    if begins:
        former = "" if master.former is None else master.former.name
        return (entry(now, by, "master-key-exchanging", key=master.name, former=former),)
    return (entry(now, by, "master-key-exchanged", key=master.name),)


class AuditCommands:
    """See the module."""

    def __init__(self, logs: Logs, aside: Aside) -> None:
        self._logs = logs
        self._aside = aside

    def commands(self) -> Commands:
        """Return what answers each command, by its name."""
        return {"kdc-audit": self._entries, "kdc-audit-verify": self._verify}

    def _entries(self, request: Request) -> Deferred[Answer]:
        after, last = _count(request, "after", 2**62), _count(request, "last", MOST_ENTRIES)

        def read() -> Answer:
            begin = max(after, self._end() - last) if last else after
            found = self._logs.entries(AUDIT, begin, MOST_ENTRIES + 1)
            return {
                "schema": AUDIT_SCHEMA,
                "log": AUDIT,
                "entries": [_told(each) for each in found[:MOST_ENTRIES]],
                "more": len(found) > MOST_ENTRIES,
            }

        return self._aside(read)

    def _end(self) -> int:
        """Return the number of the last entry, found by halving: there may be millions."""
        low, high = 0, 1
        while self._logs.entries(AUDIT, high, 1):
            low, high = high, 2 * high
        while low < high:
            middle = (low + high) // 2
            if self._logs.entries(AUDIT, middle, 1):
                low = middle + 1
            else:
                high = middle
        return low

    def _verify(self, request: Request) -> Deferred[Answer]:
        del request

        def follow() -> Answer:
            check = self._logs.verify(AUDIT)
            sound = {"seq": check.sound.seq, "hash": check.sound.hash.hex()}
            return {
                "schema": VERIFIED_SCHEMA,
                "log": AUDIT,
                "good": check.is_sound,
                "sound": sound,
                "at_fault": check.at_fault,
                "why": check.why,
            }

        return self._aside(follow)


def _told(one: LogEntry) -> dict[str, Any]:
    """Return an entry; its text is octet for octet what the hash covers."""
    return {"seq": one.seq, "at": one.at, "hash": one.hash.hex(), "text": one.octets.decode(errors="replace")}


def _count(request: Request, name: str, most: int) -> int:
    value = request.get(name, 0)
    if type(value) is not int or not 0 <= value <= most:
        raise Declined(f"{name} must be a whole number from 0 to {most}", "unfit")
    return value
