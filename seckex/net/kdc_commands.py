"""What an operator asks a key distribution center: requests in, objects out, on a control socket or without a daemon.

KEY 0 leaves here sealed only: who exports says for whom, and gets the sealed
file. Everything that a request holds is checked here.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from twisted.internet.defer import Deferred

from seckex.config.problems import Unfit
from seckex.config.provision import MOST_ADDRESSES, Ethernet, HomeAddress, render_provision
from seckex.config.values import NAI, Reader, is_address
from seckex.crypto.provisioning import KEY_SIZE, SALT_SIZE, fingerprint_of, seal_to_key, seal_with_passphrase
from seckex.crypto.secrets import Secret
from seckex.machine import Now
from seckex.net.control import Answer, Commands, Declined, Request
from seckex.net.principal import Clock
from seckex.roles.faces import RoleAction
from seckex.roles.kdc.center import Center, NewPrincipal
from seckex.roles.kdc.principals import Known, Principal

PRINCIPAL_SCHEMA: Final = "seckex.kdc-principal/1"
LIST_SCHEMA: Final = "seckex.kdc-list/1"
EXPORT_SCHEMA: Final = "seckex.kdc-export/1"

MOST_LISTED: Final = 500


# Runs what a center wants when it is asked for something; raises what the call raises.
Asking: TypeAlias = Callable[[Callable[[Now], list[RoleAction]]], None]
# Has something done that takes long.
Aside: TypeAlias = Callable[[Callable[[], str]], Deferred[str]]


class KdcCommands:
    """See the module."""

    def __init__(self, center: Center, ask: Asking, aside: Aside, clock: Clock) -> None:
        self._center = center
        self._ask = ask
        self._aside = aside
        self._clock = clock

    def commands(self) -> Commands:
        """Return what answers each command, by its name."""
        return {
            "kdc-add": self._add,
            "kdc-allow": self._allow,
            "kdc-rekey": self._rekey,
            "kdc-list": self._list,
            "kdc-show": self._show,
            "kdc-export": self._export,
        }

    # -- looking

    def _list(self, request: Request) -> Answer:
        after = request.get("after", 0)
        if type(after) is not int or after < 0:
            raise Declined("after must be a serial", "unfit")
        found = list(islice(self._center.changed_after(after), MOST_LISTED + 1))
        return {
            "schema": LIST_SCHEMA,
            "principals": [_told(known) for known in found[:MOST_LISTED]],
            "more": len(found) > MOST_LISTED,
        }

    def _show(self, request: Request) -> Answer:
        return self._shown(self._center.find(_text(request, "principal", NAI)))

    def _shown(self, known: Known) -> Answer:
        keys = self._center.home_keys(known.home_agent, self._clock.wall())
        told = [{"kem": int(key.kem), "until": key.until} for key in keys]
        return {"schema": PRINCIPAL_SCHEMA, **_told(known), "home_keys": told}

    # -- acting

    def _add(self, request: Request) -> Deferred[Answer]:
        new = NewPrincipal(
            nai=_text(request, "principal", NAI),
            home_agent=_text(request, "home_agent", NAI),
            home_address=_optional(request, "home_address", HomeAddress()),
            layer2=_optional(request, "layer2", Ethernet()),
        )
        answered, told = self._answering(f"{new.nai} is not added")
        self._ask(lambda now: self._center.add(new, now, told))
        return answered

    def _allow(self, request: Request) -> Deferred[Answer]:
        nai, enabled = _text(request, "principal", NAI), request.get("enabled")
        if not isinstance(enabled, bool):
            raise Declined("enabled must be true or false", "unfit")
        answered, told = self._answering(f"{nai} is not {'enabled' if enabled else 'disabled'}")
        self._ask(lambda now: self._center.allow(nai, now, told, enabled=enabled))
        return answered

    def _rekey(self, request: Request) -> Deferred[Answer]:
        nai = _text(request, "principal", NAI)
        answered, told = self._answering(f"{nai} has no other KEY 0")
        self._ask(lambda now: self._center.rekey(nai, now, told))
        return answered

    def _answering(self, failed: str) -> tuple[Deferred[Answer], Callable[[Known | str], None]]:
        """Return what is answered, and what takes the node as it is then, or why nothing was stored."""
        answered: Deferred[Answer] = Deferred()

        def told(outcome: Known | str) -> None:
            if answered.called:
                # Nobody waits any more.
                return
            if isinstance(outcome, str):
                answered.errback(Declined(f"{failed}: {outcome}", "not-stored"))
            else:
                answered.callback(self._shown(outcome))

        return answered, told

    def _export(self, request: Request) -> Deferred[Answer]:
        seal, how = _sealing(request)
        addresses = tuple(_addresses(request.get("addresses", [])))
        provision = self._center.provision(_text(request, "principal", NAI), addresses, self._clock.now())
        plaintext = Secret(render_provision(provision))

        def sealed(text: str) -> Answer:
            self._ask(lambda _now: self._center.provisioned(provision, how))
            return {
                "schema": EXPORT_SCHEMA,
                "principal": provision.nai,
                "home_agent": provision.home_agent,
                "kvno": provision.kvno,
                "sealed_to": how,
                "home_keys": len(provision.home_keys),
                "sealed": text,
            }

        return self._aside(lambda: seal(plaintext)).addCallback(sealed)


def _told(known: Known) -> dict[str, Any]:
    whole = isinstance(known, Principal)
    address = known.home_address if isinstance(known, Principal) else None
    layer2 = known.layer2 if isinstance(known, Principal) else None
    return {
        "principal": known.nai,
        "home_agent": known.home_agent,
        "kvno": known.kvno,
        "enabled": known.enabled,
        "serial": known.serial,
        "created": known.created if isinstance(known, Principal) else None,
        "home_address": None if address is None else str(address),
        "layer2": None if layer2 is None else layer2.address.hex(":"),
        "copied": not whole,
    }


def _sealing(request: Request) -> tuple[Callable[[Secret], str], str]:
    """Return what seals, and in words for whom."""
    passphrase, public = request.get("passphrase"), request.get("public")
    if (passphrase is None) == (public is None):
        raise Declined("give a passphrase or a public key", "unfit")
    if isinstance(passphrase, str):
        return lambda plaintext: seal_with_passphrase(
            plaintext, passphrase, os.urandom(SALT_SIZE)
        ), "under a passphrase"
    try:
        octets = base64.b64decode(public, validate=True) if isinstance(public, str) else b""
    except ValueError:
        octets = b""
    if len(octets) != KEY_SIZE:
        raise Declined(f"a public key has {KEY_SIZE} octets", "unfit")
    return lambda plaintext: seal_to_key(plaintext, octets), f"to the key {fingerprint_of(octets)}"


def _addresses(raw: object) -> Sequence[str]:
    if not isinstance(raw, list) or len(raw) > MOST_ADDRESSES:
        raise Declined(f"addresses must be a list of at most {MOST_ADDRESSES}", "unfit")
    for each in raw:
        if not isinstance(each, str) or not is_address(each):
            raise Declined("addresses must each be an IP address", "unfit")
    return raw


def _text(request: Request, name: str, reader: Reader) -> Any:
    try:
        return reader.read(request.get(name))
    except Unfit as error:
        raise Declined(f"{name} {error}", "unfit") from error


def _optional(request: Request, name: str, reader: Reader) -> Any:
    return None if request.get(name) is None else _text(request, name, reader)
