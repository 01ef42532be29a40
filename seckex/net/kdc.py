"""The daemon of a key distribution center alone: secure hops, a control socket, and no ports of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from seckex.config.kdc import Kdc, KdcSettings
from seckex.net.daemon import Daemon
from seckex.net.reload import Prepared
from seckex.node.limits import Limits, Peer
from seckex.roles.faces import Role
from seckex.roles.kdc.center import Center
from seckex.sa.association import Association


def center_of(kdc: Kdc | None, nai: str) -> dict[str, Role]:
    """Return the center that ``[kdc]`` asks for, as a daemon's `Daemon.roles` has it; none without the section."""
    return {} if kdc is None else {"kdc": Center(nai, kdc, os.urandom)}


def possible_kdc(before: Kdc | None, after: Kdc | None) -> tuple[Kdc | None, tuple[str, ...]]:
    """Return what a daemon that runs can go on by, and the settings that only a restart changes."""
    if before is None or after is None:
        return before, () if before is after else ("kdc",)
    if before.replicates != after.replicates:
        return evolve(after, replicates=before.replicates, replicas=before.replicas), ("kdc.replicates",)
    return after, ()


def settle_center(roles: Mapping[str, Role], kdc: Kdc | None) -> None:
    """Have the center among ``roles`` go on by ``kdc``."""
    center = roles.get("kdc")
    if isinstance(center, Center) and kdc is not None:
        center.reconfigure(kdc)


class KdcDaemon(Daemon[KdcSettings]):
    """See the module."""

    def peers(self) -> list[Peer]:
        """Nobody: what others say comes over hops."""
        return []

    def limits(self) -> Limits:
        """See `Daemon.limits`."""
        most = self.settings.limits.associations
        return Limits(1, most, 1, most)

    def watcher(self) -> KdcDaemon:
        """See `Daemon.watcher`."""
        return self

    def roles(self) -> Mapping[str, Role]:
        """See `Daemon.roles`."""
        return center_of(self.settings.kdc, self.settings.identity.nai)

    def settle_roles(self) -> None:
        """See `Daemon.settle_roles`."""
        if self.house is not None:
            settle_center(self.house.house.roles, self.settings.kdc)

    def bind(self) -> None:
        """Nothing: hops have ports of their own."""

    def open(self) -> None:
        """Nothing."""

    def prepare(self, settings: KdcSettings) -> Prepared[KdcSettings]:
        """See `Daemon.prepare`."""
        kdc, restart = possible_kdc(self.settings.kdc, settings.kdc)
        return Prepared(settings if kdc is None else evolve(settings, kdc=kdc), restart)

    def settle(self) -> None:
        """Nothing."""

    def unprepare(self) -> None:
        """Nothing."""

    def close(self) -> list[Deferred[Any]]:
        """Nothing."""
        return []

    def listening(self) -> list[str]:
        """See `Daemon.listening`."""
        return []

    def status_extras(self) -> dict[str, Any]:
        """See `Daemon.status_extras`."""
        return {"forwards": [], "services": []}

    def counters(self) -> Mapping[str, int]:
        """See `Daemon.counters`."""
        return {}

    # -- there are no associations, and so no links

    def ready(self, _association: Association) -> None:
        """Nothing."""

    def unavailable(self, _peer: str, _why: str) -> None:
        """Nothing."""

    def gone(self, _association: Association, _why: str) -> None:
        """Nothing."""

    def forbid(self, _peer: str, _why: str) -> None:
        """Nothing."""
