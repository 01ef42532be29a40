"""What an operator asks a key distribution center for many nodes at once: to enrol them, and to seal their KEY 0.

A provisioning file leaves when it is entered in the audit log who got it, and sealed only.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from twisted.internet.defer import Deferred

from seckex.config.provision import MOST_ADDRESSES, Provision, render_provision
from seckex.config.values import NAI, is_address
from seckex.crypto.provisioning import KEY_SIZE, SALT_SIZE, fingerprint_of, seal_to_key, seal_with_passphrase
from seckex.crypto.secrets import Secret
from seckex.errors import Unfeasible
from seckex.net.control import Answer, Commands, Declined, Request
from seckex.net.kdc_commands import KdcCommands, answering, names_of, new_principal, text_of, told_of, when_known
from seckex.net.principal import Clock
from seckex.roles.kdc.center import Center, NewPrincipal
from seckex.roles.kdc.operations import MOST_AT_ONCE

EXPORT_SCHEMA: Final = "seckex.kdc-export/1"
EXPORTS_SCHEMA: Final = "seckex.kdc-exports/1"
ENROL_SCHEMA: Final = "seckex.kdc-enrol/1"

MOST_EXPORTED: Final = 32

T = TypeVar("T")

# Has something done that takes long.
Aside: TypeAlias = Callable[[Callable[[], Any]], Deferred[Any]]

_COLUMNS: Final = ("principal", "home_agent", "home_address", "layer2")


class FleetCommands:
    """See the module; ``desk`` does what is asked."""

    def __init__(self, center: Center, desk: KdcCommands, aside: Aside, clock: Clock) -> None:
        self._center = center
        self._desk = desk
        self._aside = aside
        self._clock = clock

    def commands(self) -> Commands:
        """Return what answers each command, by its name."""
        commands: Commands = {
            "kdc-export": self._export,
            "kdc-exports": self._exports,
            "kdc-enrol": self._enrol,
        }
        return when_known(self._center, commands)

    # -- enrolling

    def _enrol(self, request: Request) -> Answer | Deferred[Answer]:
        rows = request.get("rows")
        if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_AT_ONCE:
            raise Declined(f"rows must be a list of 1 to {MOST_AT_ONCE}", "unfit")
        if request.get("check") is True:
            return {"schema": ENROL_SCHEMA, "rows": [self._checked(row) for row in rows]}
        new = [_new(row) for row in rows]
        answered, told = answering(
            "nobody is enrolled",
            lambda added: {"schema": ENROL_SCHEMA, "rows": [told_of(each) for each in added]},
        )
        about = f"{new[0].nai} and {len(new) - 1} more"
        return self._desk.do("enrol", about, request, answered, lambda now, by: self._center.enrol(new, now, told, by))

    def _checked(self, row: object) -> dict[str, Any]:
        """Tell whether a row is ``new``, ``there`` already, or ``wrong``, and why."""
        try:
            new = _new(row)
        except Declined as error:
            return {"outcome": "wrong", "why": str(error)}
        if self._center.has(new):
            return {"outcome": "there", "why": ""}
        why = self._center.objection(new)
        return {"outcome": "wrong" if why else "new", "why": why}

    # -- giving KEY 0 away

    def _export(self, request: Request) -> Deferred[Answer]:
        nais = [text_of(request, "principal", NAI)]
        return self._sealed(nais, request).addCallback(lambda found: {"schema": EXPORT_SCHEMA, **found[0]})

    def _exports(self, request: Request) -> Deferred[Answer]:
        nais = names_of(request, MOST_EXPORTED)
        return self._sealed(nais, request).addCallback(lambda found: {"schema": EXPORTS_SCHEMA, "files": found})

    def _sealed(self, nais: Sequence[str], request: Request) -> Deferred[list[dict[str, Any]]]:
        seal, how = _sealing(request)
        addresses = tuple(_addresses(request.get("addresses", [])))
        now = self._clock.now()
        try:
            provisions = [self._center.provision(nai, addresses, now) for nai in nais]
        except Unfeasible as error:
            self._desk.refuse("export", nais[0], str(error), request)
            raise

        def work() -> list[str]:
            return [seal(Secret(render_provision(provision))) for provision in provisions]

        def entered(texts: list[str]) -> Deferred[Answer]:
            answered, told = answering("nothing is exported", lambda _outcome: {"files": texts})
            by = self._desk.by(request)

            def stored(why: str) -> None:
                told(why or ())

            return self._desk.do(
                "export",
                nais[0],
                request,
                answered,
                lambda later, _: self._center.provisioned(provisions, how, later, stored, by),
            )

        def told_of_files(answer: Answer) -> list[dict[str, Any]]:
            return [_file(one, how, text) for one, text in zip(provisions, answer["files"], strict=True)]

        return self._aside(work).addCallback(entered).addCallback(told_of_files)


def _file(provision: Provision, how: str, text: str) -> dict[str, Any]:
    return {
        "principal": provision.nai,
        "home_agent": provision.home_agent,
        "kvno": provision.kvno,
        "sealed_to": how,
        "home_keys": len(provision.home_keys),
        "sealed": text,
    }


def _new(row: object) -> NewPrincipal:
    if not isinstance(row, list) or len(row) != len(_COLUMNS):
        raise Declined(f"a row has {', '.join(_COLUMNS)}", "unfit")
    return new_principal(dict(zip(_COLUMNS, row, strict=True)))


def _sealing(request: Request) -> tuple[Callable[[Secret], str], str]:
    """Return what seals, and in words for whom."""
    return sealed_for(
        request,
        lambda passphrase: lambda plaintext: seal_with_passphrase(plaintext, passphrase, os.urandom(SALT_SIZE)),
        lambda public: lambda plaintext: seal_to_key(plaintext, public),
    )


def sealed_for(request: Request, with_passphrase: Callable[[str], T], to_key: Callable[[bytes], T]) -> tuple[T, str]:
    """Return what one of the two makes of how a request wants something to be sealed, and in words for whom."""
    passphrase, public = request.get("passphrase"), request.get("public")
    if (passphrase is None) == (public is None):
        raise Declined("give a passphrase or a public key", "unfit")
    if isinstance(passphrase, str):
        return with_passphrase(passphrase), "under a passphrase"
    try:
        octets = base64.b64decode(public, validate=True) if isinstance(public, str) else b""
    except ValueError:
        octets = b""
    if len(octets) != KEY_SIZE:
        raise Declined(f"a public key has {KEY_SIZE} octets", "unfit")
    return to_key(octets), f"to the key {fingerprint_of(octets)}"


def _addresses(raw: object) -> Sequence[str]:
    if not isinstance(raw, list) or len(raw) > MOST_ADDRESSES:
        raise Declined(f"addresses must be a list of at most {MOST_ADDRESSES}", "unfit")
    for each in raw:
        if not isinstance(each, str) or not is_address(each):
            raise Declined("addresses must each be an IP address", "unfit")
    return raw
