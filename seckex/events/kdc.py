"""What the operator of a key distribution center is told.

Names of nodes are in these events, as the center knows them anyway; keys are in none.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from seckex.events import Event, label_of, shown


@frozen
class PrincipalAdded(Event):
    """There is a node more, with a KEY 0 of its own."""

    principal: str
    home_agent: str
    kvno: int
    serial: int

    def __str__(self) -> str:
        return f"{self.principal}, at home with {self.home_agent}, has been added with key version {self.kvno}"


@frozen
class ArchiveMade(Event):
    """An archive of all nodes, KEY 0 of each in it, was given away; ``sealed`` says for whom."""

    nodes: int
    sealed: str

    level: ClassVar[str] = "warn"

    def __str__(self) -> str:
        return f"an archive of {self.nodes} nodes was made, sealed {shown(self.sealed)}"


@frozen
class ArchiveLoaded(Event):
    """The nodes of an archive have taken the place of those of before."""

    taken: int
    kept: int
    deleted: int

    def __str__(self) -> str:
        return (
            f"{self.taken} nodes were taken over from an archive, {self.deleted} that it does not have were deleted, "
            f"{self.kept} stay deleted or revoked"
        )


@frozen
class PrincipalAllowed(Event):
    """A node was disabled, or enabled again; its home agent is told."""

    principal: str
    enabled: bool
    serial: int

    def __str__(self) -> str:
        return f"{self.principal} was {'enabled' if self.enabled else 'disabled'}"


@frozen
class PrincipalRotated(Event):
    """A node has another KEY 0, which it has to be provisioned with; its home agent is told.

    ``until`` (seconds since 1970) is up to when the one before is taken too, 0: until the node has used the new one.
    """

    principal: str
    kvno: int
    until: int
    serial: int

    def __str__(self) -> str:
        return f"{self.principal} has another KEY 0, key version {self.kvno}, and is to be provisioned with it"


@frozen
class PrincipalRevoked(Event):
    """A node was revoked and its KEY 0 destroyed; home agents and replicas are told at once."""

    level: ClassVar[str] = "warn"

    principal: str
    kvno: int
    serial: int

    def __str__(self) -> str:
        return f"{self.principal} is revoked, and its KEY 0, key version {self.kvno}, destroyed"


@frozen
class PrincipalDeleted(Event):
    """A node was deleted and its KEY 0 destroyed; its home agent is told."""

    principal: str
    kvno: int
    serial: int

    def __str__(self) -> str:
        return f"{self.principal} was deleted, and its KEY 0, key version {self.kvno}, destroyed"


@frozen
class PrincipalsEnrolled(Event):
    """So many nodes more, each with a KEY 0 of its own; ``serial`` is that of the last."""

    nodes: int
    serial: int

    def __str__(self) -> str:
        return f"{self.nodes} node(s) were enrolled, up to serial {self.serial}"


@frozen
class PrincipalsLoaded(Event):
    """All ``nodes`` have been looked at: the center answers for any of them, and tells what has changed."""

    nodes: int

    def __str__(self) -> str:
        return f"all {self.nodes} node(s) are known"


@frozen
class PrincipalsLoading(Event):
    """So many of the nodes have been looked at; keys are issued meanwhile, and what has changed is told afterwards."""

    nodes: int
    all: int

    def __str__(self) -> str:
        return f"{self.nodes} of {self.all} nodes have been looked at"


@frozen
class PrincipalProvisioned(Event):
    """The KEY 0 of a node was given away in a provisioning file; ``sealed`` says for whom."""

    principal: str
    kvno: int
    sealed: str

    def __str__(self) -> str:
        return f"{self.principal} was provisioned with key version {self.kvno}, sealed {self.sealed}"


@frozen
class KeysRefused(Event):
    """A neighbour asked for keys and got none."""

    level: ClassVar[str] = "warn"

    neighbour: str
    node: str
    code: int
    why: str

    @property
    def label(self) -> str:
        """The code's name."""
        return label_of(self.code)

    def __str__(self) -> str:
        whose = f" of {self.node}" if self.node else ""
        return f"no keys{whose} for {self.neighbour}: {self.code} {self.label}: {shown(self.why)}"


@frozen
class KeysNotStored(Event):
    """Keys could not be made durable, so they were not issued."""

    level: ClassVar[str] = "error"

    requests: int
    why: str

    def __str__(self) -> str:
        return f"no keys for {self.requests} request(s), the store cannot be written: {self.why}"


@frozen
class HomeKeysTaken(Event):
    """A home agent has said which static keys it has; they go into provisioning files."""

    home_agent: str
    keys: int

    def __str__(self) -> str:
        return f"{self.home_agent} has {self.keys} static key(s), for the provisioning files of its nodes"


@frozen
class NodesTold(Event):
    """A home agent, or a replica, has asked for the nodes that changed since then, and was told of some."""

    level: ClassVar[str] = "debug"

    neighbour: str
    since: int
    entries: int
    more: bool

    def __str__(self) -> str:
        rest = ", and there are more" if self.more else ""
        return f"{self.neighbour} was told of {self.entries} node(s) that changed after serial {self.since}{rest}"


@frozen
class NodesCopied(Event):
    """A replica has the nodes of its center up to ``serial``."""

    center: str
    entries: int
    serial: int

    def __str__(self) -> str:
        return f"{self.entries} node(s) more were copied from {self.center}, up to serial {self.serial}"


@frozen
class CopyingFailed(Event):
    """A replica could not get the nodes of its center; it goes on with those that it has and tries again."""

    level: ClassVar[str] = "warn"

    center: str
    why: str

    def __str__(self) -> str:
        return f"nodes cannot be copied from {self.center}: {shown(self.why)}"


@frozen
class RecordUnreadable(Event):
    """A record of a center's, or of a home agent's, is not what was stored, and is left out."""

    level: ClassVar[str] = "error"

    kind: str
    why: str

    def __str__(self) -> str:
        return f"a record of the kind {self.kind} is left out: {shown(self.why)}"
