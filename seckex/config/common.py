"""The settings that both roles have.

A setting is an attribute with its type, its limits, its default and a line on
what it does; in files underscores are hyphens. What depends on several settings
at once is judged by `Settings.contradictions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from attrs import Factory, frozen

from seckex.config.messages import Messages, needs_certificate
from seckex.config.metrics import Metrics
from seckex.config.policy import PolicySettings
from seckex.config.problems import Problem, repeated
from seckex.config.structure import Unread
from seckex.config.values import Nai, Octets, OneOf, Seconds, Several, Whole
from seckex.sa.association import WORKER_BITS

MAX_PEERS: Final = 4096
MAX_FILES: Final = 16
AUTHENTICATIONS: Final = ("key0", "certificate")
#: What vouches for peers; registering is for mobile nodes and home agents.
OF_PEERS: Final = (*AUTHENTICATIONS, "registration")
EVERYBODY: Final = "*@"
_MAX_SOCKET_PATH: Final = 107  # sun_path of unix(7), less the closing zero


def pattern_of(nai: str) -> str:
    """Return the name of a peer that stands for everybody of the realm of ``nai``."""
    return EVERYBODY + nai.partition("@")[2]


@frozen(kw_only=True)
class Identity:
    """Who this daemon is."""

    nai: Nai
    """The network access identifier that peers know it by (RFC 7542)."""

    certificate: Path | None = None
    """Certificates in PEM form, the one of ``nai`` first; for peers with ``authentication = "certificate"``."""

    private_key: Path | None = None
    """The private key of the first of them, in PEM form, not encrypted."""

    trust: Annotated[tuple[Path, ...], Several(0, MAX_FILES)] = ()
    """The authorities whose certificates prove the names of peers, in PEM form; not needed where peers were paired."""

    revocation: Annotated[tuple[Path, ...], Several(0, MAX_FILES)] = ()
    """Revocation lists in PEM form; where there are any, each issuer in a peer's chain needs a current one."""

    def contradictions(self, wanted: str | None) -> Iterator[Problem]:
        """Yield what is missing for a certificate of ours; ``wanted`` says who needs it, if anybody.

        Whether somebody is trusted is seen with the files: it may be by pairing.
        """
        given = {"certificate": self.certificate, "private-key": self.private_key}
        if wanted is None and not self.trust and not any(given.values()):
            if self.revocation:
                yield Problem("identity.revocation", "is of no use without identity.trust")
            return
        why = wanted or "the others are there"
        for name, value in given.items():
            if value is None:
                yield Problem(f"identity.{name}", f"is required: {why}")


def control_name(worker: int) -> str:
    """Return what the control socket of a worker is called unless the configuration says otherwise."""
    return f"control-{worker}.sock" if worker else "control.sock"


@frozen(kw_only=True)
class State:
    """What outlives the process, and where."""

    directory: Path
    """Holds the store; made with mode 0700, or refused if anybody else can enter it.
    Default: ``$XDG_STATE_HOME/seckex/<role>``, or ``~/.local/state/seckex/<role>``."""

    master_key: Path = Factory(lambda self: self.directory / "master.key", takes_self=True)
    """The key that the store is sealed under; made with mode 0600 at the first start."""

    worker: Annotated[int, Whole(0, 2**WORKER_BITS - 1)] = 0
    """This process among those that serve one identity from one store; in the low bits of the SPIs it hands out."""

    control: Path = Factory(lambda self: self.directory / control_name(self.worker), takes_self=True)
    """The unix socket on which the ``seckex`` command finds the daemon."""


@frozen(kw_only=True)
class Log:
    """What is logged, how and where."""

    format: Annotated[str, OneOf(("human", "json"))] = "human"
    """Lines for people, or one JSON object a line."""

    level: Annotated[str, OneOf(("debug", "info", "warn", "error"))] = "info"
    """The least important level that is written."""

    file: Path | None = None
    """A file to append to; ``"-"`` (None here) is the standard error."""


@frozen(kw_only=True)
class Limits:
    """The bounds of the tables that both roles keep; each says what happens at the bound."""

    associations: Annotated[int, Whole(1, 1_000_000)] = 4096
    """Associations alive at once; a further one is refused (code 130)."""

    dialogs_per_peer: Annotated[int, Whole(1, 65536)] = 1024
    """Dialogs that a peer may have opened at once, announced in HELLO; a further one is rejected (code 303)."""

    dialog_credit: Annotated[int, Octets(65536, 2**30)] = 2**18
    """Octets a peer may send on a dialog before they are consumed, announced in HELLO: what one dialog may hold."""

    detached_dialogs: Annotated[int, Whole(0, 1_000_000)] = 4096
    """Dialogs, over all peers, that wait for a link to carry them on; of more the one that has waited longest is lost.
    With 0 a dialog ends with its link."""

    resume_within: Annotated[int, Seconds(1, 86400)] = 600
    """How long a dialog waits for a link to carry it on before it is lost."""


@frozen(kw_only=True)
class DeadPeer:
    """When the peer of a link counts as dead; the link is closed then, and its dialogs wait for another one."""

    idle: Annotated[int, Seconds(1, 3600)] = 20
    """After so much silence the peer is asked."""

    timeout: Annotated[int, Seconds(1, 600)] = 10
    """After so much more it is dead."""


@frozen(kw_only=True)
class Debug:
    """What helps to find faults and weakens what this program is for; nothing of it is ever on by itself."""

    key_log: Path | None = None
    """A file to append the keys of all links to, made with mode 0600, for reading captured traffic; None: no keys."""


@frozen(kw_only=True)
class Settings:
    """A whole file, less what only one role has."""

    role: ClassVar[str]

    identity: Identity
    state: State
    policy: PolicySettings = Factory(PolicySettings)
    log: Log = Factory(Log)
    debug: Debug = Factory(Debug)
    metrics: Metrics = Factory(Metrics)
    dead_peer: DeadPeer = Factory(DeadPeer)
    limits: Limits = Factory(Limits)

    @classmethod
    def contradictions(cls, sections: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong between settings that are each right.

        ``sections`` has those that could be read, by attribute; a check whose
        sections are not all there is left out.
        """
        state: State | None = sections.get("state")
        if state is not None and len(str(state.control).encode()) > _MAX_SOCKET_PATH:
            yield Problem("state.control", f"must be a path of at most {_MAX_SOCKET_PATH} octets, not {state.control}")
        policy: PolicySettings | None = sections.get("policy")
        if policy is not None:
            yield from policy.contradictions()
        metrics: Metrics | None = sections.get("metrics")
        if metrics is not None:
            yield from metrics.contradictions()
        peers = sections.get("peers", ())
        if "peers" in sections and not peers and sections.get("messages", True) is None:
            yield Problem("peers", f"is required: a list of 1 to {MAX_PEERS}, unless there is messages")
        yield from repeated((peer.nai for peer in peers), "peers[{}].nai".format)
        identity: Identity | None = sections.get("identity")
        for index, peer in enumerate(peers):
            if identity is not None and peer.nai == identity.nai:
                yield Problem(f"peers[{index}].nai", "must be somebody else: this is identity.nai")
            yield from _authentication(peer, f"peers[{index}]")
        if identity is not None:
            yield from identity.contradictions(next(cls.by_certificate(sections), None))

    @classmethod
    def by_certificate(cls, sections: Mapping[str, Any]) -> Iterator[str]:
        """Yield, for each who is shown our certificate, why it is needed."""
        for peer in sections.get("peers", ()):
            if _by_certificate(peer):
                yield f"the peer {peer.nai} is authenticated by certificate"
        messages: Messages | None = sections.get("messages")
        if messages is not None and (why := needs_certificate(messages)):
            yield why


def _by_certificate(peer: Any) -> bool:
    return not isinstance(peer, Unread) and peer.authentication == "certificate"


def _authentication(peer: Any, path: str) -> Iterator[Problem]:
    unread = isinstance(peer, Unread)
    shared = peer.authentication in ("", "key0")
    if shared and (peer.lacks("key0") if unread else peer.key0 is None):
        yield Problem(f"{path}.key0", 'is required: the path of a file, or authentication = "certificate"')
    if unread:
        return
    if not shared and peer.key0 is not None:
        yield Problem(f"{path}.key0", f'must go: authentication is "{peer.authentication}"')
    if shared and peer.nai.startswith(EVERYBODY):
        why = f'must be one principal: only certificates prove who is any of {peer.nai}, authentication = "certificate"'
        yield Problem(f"{path}.nai", why)
