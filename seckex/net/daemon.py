"""A daemon, whichever its role: state directory, store, node, control socket, and their order.

Starting takes what can fail first and what others see last. What may need
privileges that twistd is about to drop comes before that: the state directory
and its lock, the master key, the ports. The rest belongs to the user that the
daemon stays: the store, the control socket. Whatever fails ends the start with
one line that says why. Stopping is the other way round and waits until
everything durable is written, `STOP_WITHIN` seconds for peers that hang.
"""

from __future__ import annotations

import gc
import os
import signal
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from attrs import evolve
from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.python.failure import Failure

from seckex.config.common import Settings
from seckex.config.credentials import Credentials
from seckex.config.files import Owner
from seckex.config.hops import Hop, HopSettings
from seckex.config.initiator import InitiatorPeer, InitiatorSettings
from seckex.config.load import Loaded, give, load, prepare_state
from seckex.config.messages import Messages as MessageSettings
from seckex.config.problems import ConfigInvalid, Problem, key_path
from seckex.config.responder import ResponderPeer, ResponderSettings
from seckex.crypto.atrest import MasterKey
from seckex.crypto.authority import Authority, Key0, Registration
from seckex.crypto.certified import Certificates
from seckex.dialog.faces import DeadPeer, LinkAssociation
from seckex.dialog.link import Link
from seckex.dialog.table import DialogTables
from seckex.errors import ApiMisuse, PeerIncompatible, SeckexError
from seckex.events import ConfigurationKept, ConfigurationReloaded
from seckex.exchange.terms import Terms
from seckex.machine import Now
from seckex.machine import Path as PeerPath
from seckex.net.accounting import AccountingCommands, sides_of
from seckex.net.commands import ControlCommands
from seckex.net.commit import CommitThread, GroupCommit
from seckex.net.control import Commands, listen_control
from seckex.net.delivery.desk import Desk
from seckex.net.delivery.messages import MessagesAtEdge, Surroundings, possible_messages
from seckex.net.delivery.pairing import prekey_commands
from seckex.net.expiry import daily
from seckex.net.forgetting import Forgetting
from seckex.net.hops.associated import AssociatedHops, HopWatcher, associated
from seckex.net.hops.hops import Hops
from seckex.net.house import HouseAtEdge
from seckex.net.kdc_audit import exchange_entries
from seckex.net.kdc_desk import SOCKET, commands_of
from seckex.net.keylog import WARNING, KeyLog
from seckex.net.log import EventLog, observe
from seckex.net.metrics import catalogue, health
from seckex.net.metrics.gathering import Durations, Gathering, Source
from seckex.net.metrics.ports import MetricsPorts
from seckex.net.operator import Operator, PrincipalOperator
from seckex.net.principal import Clock, Principal, Watcher
from seckex.net.reload import Outcome, Prepared, differences, hear, possible
from seckex.net.rotation import MasterKeyExchange
from seckex.net.sockets import Sockets
from seckex.net.status import StatusReport
from seckex.net.stream import LinkTerms
from seckex.net.supervisor import Supervisor
from seckex.net.tracing import ROLE, TraceCommands
from seckex.net.usage import Traffic
from seckex.node.histogram import Histogram
from seckex.node.limits import Limits, Peer
from seckex.node.node import Node
from seckex.roles.faces import Role
from seckex.roles.house import House
from seckex.roles.kdc.audit import Operator as AuditedOperator
from seckex.roles.kdc.center import LATER, Center
from seckex.roles.trace import Tracer
from seckex.sa.association import WORKER_BITS
from seckex.sa.store import Append, Snapshot
from seckex.storage.lock import WorkerLock
from seckex.storage.masterkey import load_master_key
from seckex.storage.messages.schema import MESSAGES
from seckex.storage.messages.sqlite import SqliteMessages
from seckex.storage.spool import Spool, spool_directory
from seckex.storage.sqlite import SqliteStore
from seckex.wire.dialog import DIALOG_ID_SIZE, Hello
from seckex.wire.numbers import MAX_BODY, Code, Security

DATABASE: Final = "seckex.db"
# Less than supervisors wait before they kill.
STOP_WITHIN: Final = 4.0

S = TypeVar("S", bound=Settings)


class StartFailed(SystemExit, Exception):
    """The daemon cannot start: ends the process with one line.

    Also an `Exception`, since that is what twistd reports to the process that waits for a daemon to have started.
    """


class Daemon(MultiService, Generic[S]):
    """The root of both daemons; ``loaded`` is their configuration."""

    def __init__(self, reactor: Any, loaded: Loaded[S]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.reactor = reactor
        # The process may go to another folder before it reads the file again.
        self.loaded = evolve(loaded, file=Path(os.path.abspath(loaded.file)))
        self.settings = loaded.settings
        self.clock = Clock(monotonic=reactor.seconds)
        self.log = EventLog(self.settings.log.level, self.clock.wall)
        limits = self.settings.limits
        self.dialogs = DialogTables(limits.detached_dialogs, limits.resume_within)
        passing = TimerService(1.0, self.dialogs.tick)
        passing.clock = reactor
        passing.setServiceParent(self)
        daily(reactor, lambda: self.loaded.credentials, self.clock.wall, self.log.report).setServiceParent(self)
        self.principal: Principal
        self.house: HouseAtEdge | None = None
        #: What programs of this process send and receive by, None where there is no section of messages.
        self.messages: MessagesAtEdge | None = None
        self.hops: Hops | None = None
        self.associated: AssociatedHops | None = None
        self.traffic: Traffic
        self._end_observing: Callable[[], None] | None = None
        self._commits: GroupCommit | None = None
        self._thread: CommitThread | None = None
        self._store: SqliteStore | None = None
        self._lock: WorkerLock | None = None
        self._key_log: KeyLog | None = None
        self._master: MasterKey | None = None
        self._exchange: MasterKeyExchange | None = None
        self._control: IListeningPort | None = None
        self._message_store: SqliteMessages | None = None
        self._spools: tuple[Spool, ...] = ()
        self._desk: Desk | None = None
        self._taken = False
        self._end_hearing: Callable[[], None] | None = None
        self._forgetting: Forgetting | None = None
        self._process = False
        self.supervisor = Supervisor({})
        self.sockets = Sockets({})
        self._metrics = MetricsPorts(reactor, self.settings.metrics)
        self._running = False

    # -- what each role adds

    @abstractmethod
    def peers(self) -> list[Peer]:
        """Return all peers."""

    @abstractmethod
    def limits(self) -> Limits:
        """Return the limits of the node's tables."""

    @abstractmethod
    def watcher(self) -> Watcher:
        """Return who builds links."""

    @abstractmethod
    def bind(self) -> None:
        """Take the ports, which may need privileges; nothing is read from them yet."""

    @abstractmethod
    def open(self) -> None:
        """Read from the ports, and begin."""

    @abstractmethod
    def prepare(self, settings: S) -> Prepared[S]:
        """Open what ``settings`` ask for and was not open before; `settle` or `unprepare` comes next."""

    @abstractmethod
    def settle(self) -> None:
        """Go on by `settings`, which are new: use what `prepare` opened, let go of what is not asked for any more."""

    @abstractmethod
    def unprepare(self) -> None:
        """Let go of what `prepare` opened."""

    @abstractmethod
    def close(self) -> list[Deferred[Any]]:
        """Close what `open` opened."""

    @abstractmethod
    def listening(self) -> list[str]:
        """Return the addresses listened on."""

    @abstractmethod
    def status_extras(self) -> dict[str, Any]:
        """Return what the role's status tells beside what all tell: ``forwards`` and ``services``."""

    @abstractmethod
    def counters(self) -> Mapping[str, int]:
        """Return the role's own counters."""

    def roles(self) -> Mapping[str, Role]:
        """Return the roles in a roaming network that this daemon has, by name."""
        return {}

    def roles_started(self) -> None:
        """Do what has to wait until the roles have taken over what the store holds."""

    def settle_roles(self) -> None:
        """Have roles go on by `settings`, which are new."""

    def say(self, octets: bytes, path: PeerPath) -> None:
        """Send what a role says to somebody who is no neighbour."""
        self.principal.send(octets, path)

    def operator(self) -> Operator:
        """Return what an operator can have this daemon do."""
        return PrincipalOperator(self.principal)

    def ways(self, destination: str) -> tuple[str, ...]:
        """Return which neighbours lead to somebody, the best first; raises `PeerIncompatible` where none does."""
        settings = self.settings
        hops = settings.hops if isinstance(settings, HopSettings) else ()
        come = self.hops is not None and self.hops.security(destination) is not Security.NONE
        if come or any(hop.nai == destination for hop in hops):
            return (destination,)
        raise PeerIncompatible(Code.NEXT_HOP_UNREACHABLE, f"{destination} is not among hops")

    def near(self, now: Now) -> tuple[str, PeerPath] | None:
        """Return the agent that serves this daemon and where it is, of a mobile node that has one."""
        del now
        return None

    def _tracer(self, nai: str) -> Tracer:
        def security(neighbour: str) -> Security:
            return Security.NONE if self.hops is None else self.hops.security(neighbour)

        return Tracer(nai, self.ways, security, os.urandom, self.near, public=self.serves_visitors())

    def serves_visitors(self) -> bool:
        """Whether nodes that have no hops may ask for ways here."""
        return False

    def commands_of_roles(self) -> Commands:
        """Return what answers the commands that roles have beside those of all daemons, by name."""
        return {}

    def _audited(self, master: MasterKey, begins: bool, user: int | None) -> tuple[Append, ...]:
        """Return what the log of a center gets when the exchange of the master key begins, or ends."""
        house = self.house
        if house is None or "kdc" not in house.house.roles:
            return ()
        return exchange_entries(
            self.clock.now(), master, begins, None if user is None else AuditedOperator(user, SOCKET)
        )

    # -- life

    def be_the_process(self) -> None:
        """Take what this process was given, for it is ours alone: sockets, a supervisor to be told, SIGHUP."""
        self._process = True
        self.supervisor = Supervisor()
        self.sockets = Sockets()

    def privilegedStartService(self) -> None:
        """Take what may need privileges, or leave with one line that says why not."""
        self._or_leave(self._take)
        super().privilegedStartService()  # type: ignore[no-untyped-call]  # Twisted's

    def startService(self) -> None:
        """Start, or leave with one line that says why not."""
        self._or_leave(self._start)
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's

    def _or_leave(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (SeckexError, CannotListenError, OSError) as error:
            self._undo()
            raise StartFailed(f"seckex-{self.settings.role}: {one_line(error)}") from None

    def _undo(self) -> None:
        """Let go of what would keep the process, or another principal here or elsewhere, from going on."""
        closing = self.close() + self._metrics.close() + (self.principal.stop() if "principal" in vars(self) else [])
        if self.house is not None:
            closing += self.house.stop()
        if self.hops is not None:
            closing.append(self.hops.close())
        if self._end_observing is not None:
            self._end_observing()
        if self._desk is not None:
            closing.append(self._desk.close())
        if self.messages is not None:
            self.messages.abandon()
        elif self._message_store is not None:
            self._message_store.close()
        if self._thread is not None:
            self._thread.stop()
        if self._store is not None:
            self._store.close()
        if self._lock is not None:
            self._lock.release()
        if self._key_log is not None:
            self._key_log.close()
        DeferredList(closing, consumeErrors=True)

    def _take(self) -> None:
        settings, state, owner = self.settings, self.settings.state, self.loaded.owner
        self._taken = True
        self._end_observing = observe(settings.log.format, settings.log.level, settings.log.file, owner)
        self._open_key_log(owner)
        prepare_state(self.loaded.file, state, owner)
        self._lock = WorkerLock(state.directory, state.worker)
        give(self._lock.path, owner)
        if state.master_key.exists():
            self._master = load_master_key(state.master_key, state.directory / DATABASE, os.urandom, owner.uid)
        self.bind()
        self._bind_hops()
        self._metrics.bind(self.sockets)
        for strange in self.sockets.strange:
            self.log.say("warn", "passed by the supervisor and of no use: {what}", what=strange)
        for left in self.sockets.left():
            self.log.say("warn", "passed by the supervisor and not in the configuration: {what}", what=left)

    def _open_key_log(self, owner: Owner) -> None:
        path = self.settings.debug.key_log
        if path is not None:
            self._key_log = KeyLog(path, owner, lambda why: self.log.say("error", "{why}", why=why))
            self.log.say("warn", WARNING, file=path)

    def _note_keys(self, line: str) -> None:
        # Terms of links are made before files are opened.
        if self._key_log is not None:
            self._key_log.write(line)

    def _bind_hops(self) -> None:
        settings = self.settings
        if isinstance(settings, HopSettings):
            nai = settings.identity.nai
            self.associated = AssociatedHops(
                self.reactor, nai, self._hop_links, self.new_dialog_id, self.retire_idle, self.log
            )
            self.associated.setServiceParent(self)
            self.hops = Hops(
                self.reactor,
                settings.identity.nai,
                settings.hops,
                settings.hops_listen,
                self.loaded.credentials,
                self._heard,
                self._unreachable,
                self.log,
                self.clock,
                self.associated.dial,
            )
            self.associated.owner = self.hops
            self.hops.ports.bind(self.sockets)

    def _hop_links(self) -> LinkTerms:
        limits = self.settings.limits
        return self.link_terms(limits.dialog_credit, limits.dialogs_per_peer)

    def _known(self) -> list[Peer]:
        """Return all peers, and the neighbours to whom hops are dialogs under associations."""
        settings = self.settings
        hops = associated(settings.hops) if isinstance(settings, HopSettings) else {}
        neighbours = [Peer(self.terms(hop), PeerPath(hop.address, hop.port)) for hop in hops.values()]
        return [*(peer for peer in self.peers() if peer.terms.peer not in hops), *neighbours]

    def _heard(self, neighbour: str, octets: bytes) -> None:
        if self.house is not None:
            self.house.heard(neighbour, octets)

    def _unreachable(self, neighbour: str, octets: bytes, why: str, code: int) -> None:
        if self.house is not None:
            self.house.unreachable(neighbour, octets, why, code)

    def _start(self) -> None:
        if not self._taken:
            self._take()
        settings, state = self.settings, self.settings.state
        database = state.directory / DATABASE
        master, self._master = self._master or load_master_key(state.master_key, database, os.urandom), None
        self._store = store = SqliteStore(database, master, os.urandom)
        now = self.clock.now()
        store.serve(now.wall)
        snapshot = store.load(state.worker, now.wall, later=LATER)
        for complaint in snapshot.damaged:
            self.log.say("error", "{complaint}", complaint=complaint)
        self._thread = CommitThread(self.reactor)
        self._commits = GroupCommit(store, self._thread, self.reactor)
        node = Node(settings.identity.nai, self._known(), os.urandom, self.limits())
        self._forget_keys()
        self.traffic = Traffic(node.associations)
        self.principal = Principal(self.reactor, node, self._commits, self.log, self.clock)
        self.principal.watcher = self.watcher()
        if self.associated is not None and isinstance(settings, HopSettings):
            self.associated.principal, self.associated.traffic = self.principal, self.traffic
            self.associated.meet(settings.hops)
            self.principal.watcher = HopWatcher(self.associated, self.watcher())
        self.principal.run(node.start(snapshot, now), now)
        roles = self.roles()
        tracing: Commands = {}
        if roles:
            tracer = self._tracer(settings.identity.nai)
            house = House(settings.identity.nai, {**roles, ROLE: tracer})
            self.house = HouseAtEdge(self.reactor, house, self.say, self._commits, self.principal, self.log, self.clock)
            self.principal.roles = self.house
            tracing = TraceCommands(tracer, self.house, settings.identity.nai).commands()
            self.house.hops = self.hops
        self._begin_messages(master, snapshot)
        self.open()
        if self.hops is not None:
            self.hops.open()
        if self.house is not None:
            self.house.start(snapshot)
            self.roles_started()
        report = StatusReport(
            role=settings.role,
            worker=state.worker,
            node=node,
            traffic=self.traffic,
            log=self.log,
            clock=self.clock,
            listening=lambda: [*self._all_listening(), *self._metrics.addresses()],
            extras=self._all_extras,
            counters=self._all_counters,
            configuration=os.path.abspath(self.loaded.file),
            key_log="" if self._key_log is None else str(self._key_log.path),
        )
        self._metrics.open(self._gathering(report), self.log)
        exchange = self._exchange = MasterKeyExchange(
            self.reactor,
            self._commits,
            store,
            state.master_key,
            state.worker,
            self.log,
            self.clock,
            self._audited,
            self._message_store,
            self._spools,
        )
        desk = ControlCommands(self.operator(), report, self.log, self.reactor)
        commands = {
            **desk.commands(),
            **self._commands_of_center(),
            **self.commands_of_roles(),
            **self._commands_of_accounts(store),
            **tracing,
            **exchange.commands(),
            **({} if self.messages is None else prekey_commands(self.messages.vault, self.clock.wall)),
            "reload": self._asked_to_reload,
        }
        self._open_desk()
        self._control = listen_control(self.reactor, state.control, commands, desk.streams())
        self.log.say(
            "info",
            "{role} {nai} is ready: {listening}",
            role=settings.role,
            nai=settings.identity.nai,
            listening=", ".join(self._all_listening()) or "no port of its own",
        )
        if self._process:
            self._forgetting = Forgetting(self.reactor, self.log)
            self._end_hearing = hear(signal.SIGHUP, lambda: self.reactor.callFromThread(self.reload))
        self.supervisor.watch(self.reactor)
        self._running = True
        self._tell_ready()
        exchange.resume()

    def _begin_messages(self, master: MasterKey, snapshot: Snapshot) -> None:
        settings, state = self._message_settings(self.settings), self.settings.state
        if settings is None or self._commits is None:
            return
        store = self._message_store = SqliteMessages(state.directory / MESSAGES, master, os.urandom)
        spool = Spool(spool_directory(state.directory, state.worker), master, os.urandom)
        self._spools = (spool,)
        held = self.principal.node.associations
        around = Surroundings(
            reactor=self.reactor,
            clock=self.clock,
            log=self.log,
            nai=self.settings.identity.nai,
            worker=state.worker,
            store=store,
            spool=spool,
            records=snapshot.records,
            submit=self._commits.submit,
            held=held.held,
            at=held.get,
            may_report=self.principal.may_report,
        )
        self.messages = MessagesAtEdge(around, settings, self.loaded.credentials, self.loaded.prekeys)
        self.messages.start()

    def _open_desk(self) -> None:
        settings, state = self._message_settings(self.settings), self.settings.state
        if settings is not None and self.messages is not None:
            self._desk = Desk(self.reactor, self.messages)
            self._desk.open(settings.http, state.directory, state.worker)

    @staticmethod
    def _message_settings(settings: Settings) -> MessageSettings | None:
        return settings.messages if isinstance(settings, InitiatorSettings | ResponderSettings) else None

    def _commands_of_center(self) -> Commands:
        house = self.house
        center = None if house is None else house.house.roles.get("kdc")
        commits, store = self._commits, self._store
        if house is None or store is None or commits is None or not isinstance(center, Center):
            return {}
        house.ask(center, center.started)
        # What lasts as long as the process need not be looked through again and again: it may be a million nodes.
        center.when_known(gc.freeze)
        return commands_of(center, partial(house.ask, center), house.aside, commits.between, self.clock, store)

    def _commands_of_accounts(self, store: SqliteStore) -> Commands:
        if self.house is None:
            return {}
        sides = sides_of(self.house.house.roles)
        return AccountingCommands(self.settings.identity.nai, sides, store, self.house.aside).commands()

    def _all_listening(self) -> list[str]:
        return [*self.listening(), *([] if self.hops is None else self.hops.ports.addresses())]

    def _all_extras(self) -> dict[str, Any]:
        roles = {} if self.house is None else self.house.house.status(self.clock.now())
        hops = [] if self.hops is None else self.hops.status()
        key = None if self._exchange is None else self._exchange.status()
        if key is not None:
            # Where keys are is told to who asks for that.
            del key["file"]
        messages = None if self.messages is None else self.messages.status()
        return {**self.status_extras(), "roles": roles, "hops": hops, "messages": messages, "master_key": key}

    def _all_counters(self) -> dict[str, int]:
        of_roles = {} if self.house is None else self.house.house.counters
        of_hops = {} if self.hops is None else self.hops.counters
        of_messages = {} if self.messages is None else self.messages.counters()
        return {**self.dialog_counters(), **self.counters(), **of_roles, **of_hops, **of_messages}

    def _gathering(self, report: StatusReport) -> Gathering:
        source = Source(self.settings.role, report.started, report.counted, self._checks, self._measured)
        return Gathering(source, self.traffic, Durations(self.clock), self._metrics.lag.latest)

    def _checks(self) -> list[health.Check]:
        """Return whether all is there that this daemon cannot do its work without."""
        trouble = "" if self._commits is None else self._commits.trouble
        trouble = trouble or ("" if self.messages is None else self.messages.trouble)
        roles = {} if self.house is None else self.house.house.roles
        silent = self.settings.role != "initiator" and not self._all_listening()
        return [
            health.Check("running", "" if self._running else "the daemon is starting or stopping"),
            health.Check("listening", "nothing is listened on" if silent else ""),
            # What the store said may have paths in it.
            health.Check("store", "the store could not be written when it was last tried" if trouble else ""),
            *health.of_roles(roles, self.clock.now()),
        ]

    def _measured(self) -> dict[catalogue.Family, Histogram]:
        measured: dict[catalogue.Family, Histogram] = {}
        if self._commits is not None:
            measured[catalogue.COMMITS] = self._commits.took
        if self.messages is not None:
            measured[catalogue.MESSAGE_COMMITS] = self.messages.took
        center = None if self.house is None else self.house.house.roles.get("kdc")
        if isinstance(center, Center):
            measured[catalogue.ISSUE] = center.took
        return measured

    def _tell_ready(self) -> None:
        self.supervisor.ready(f"{self.settings.role} {self.settings.identity.nai}: {', '.join(self._all_listening())}")

    def _forget_keys(self) -> None:
        """Keep of KEY 0 what was derived from it, and no more."""
        self.loaded = evolve(self.loaded, keys={})

    # -- another configuration

    def _asked_to_reload(self, _request: dict[str, Any]) -> dict[str, Any]:
        return self.reload()

    def reload(self) -> dict[str, Any]:
        """Read the configuration again and go on by it, or keep the present one whole.

        Returns what came of it, schema `seckex.net.reload.SCHEMA`.
        """
        self.supervisor.reloading()
        outcome = self._reloaded()
        if outcome.problems:
            self.log.report(ConfigurationKept(tuple(map(str, outcome.problems))))
        else:
            self.log.report(ConfigurationReloaded(outcome.changed, outcome.restart))
        self._tell_ready()
        return outcome.answer()

    def _reloaded(self) -> Outcome:
        before = self.settings
        try:
            loaded = load(self.loaded.file, type(before), self.loaded.owner)
        except ConfigInvalid as error:
            # What has no path is the matter of the file as a whole: say which.
            return Outcome(problems=tuple(evolve(one, path=one.path or error.file) for one in error.problems))
        if loaded.settings.identity.nai != before.identity.nai:
            return Outcome(problems=(Problem("identity.nai", "cannot change in a daemon that runs: restart it"),))
        settings, restart = possible(before, loaded.settings)
        settings, more = self._keep_messages(before, settings)
        prepared = self.prepare(settings)
        hops = self._prepare_hops(prepared.settings)
        metrics = self._prepare_metrics(hops.settings)
        settings = metrics.settings
        prepared = evolve(
            prepared,
            settings=settings,
            problems=(*prepared.problems, *hops.problems, *metrics.problems),
            restart=(*prepared.restart, *hops.restart, *more),
        )
        problems = list(prepared.problems)
        end_observing: Callable[[], None] | None = None
        try:
            end_observing = observe(settings.log.format, settings.log.level, settings.log.file, loaded.owner)
        except OSError as error:
            problems.append(Problem("log.file", f"{settings.log.file} cannot be opened: {error.strerror}"))
        if problems:
            self.unprepare()
            if self.hops is not None:
                self.hops.ports.unprepare()
            self._metrics.unprepare()
            if end_observing is not None:
                end_observing()
            return Outcome(problems=tuple(problems))
        end_observing, self._end_observing = self._end_observing, end_observing
        if end_observing is not None:
            end_observing()
        roots = {nai: peer.terms.authority.root for nai, peer in self.principal.node.peers.items()}
        settings = prepared.settings
        held = _contents(self.loaded.credentials)
        self.loaded, self.settings = evolve(loaded, settings=settings), settings
        self.log.set_level(settings.log.level)
        self.principal.reconfigure(self._known(), self.limits())
        self._forget_keys()
        self.settle()
        self._settle_hops()
        self._settle_messages()
        self._metrics.settle(settings.metrics)
        self.settle_roles()
        self.dialogs.reconfigure(settings.limits.detached_dialogs, settings.limits.resume_within)
        for nai in self.dialogs.peers - self.principal.node.peers.keys():
            self.dialogs.lose_of(nai, "the configuration has this peer no more")
        rekeyed = (
            key_path(key_path("peers", nai), "key0")
            for nai, peer in self.principal.node.peers.items()
            if roots.get(nai, peer.terms.authority.root) != peer.terms.authority.root
        )
        new = _contents(loaded.credentials)
        named = set(differences(before, settings))
        recertified = (path for path in new if new[path] != held.get(path) and path not in named)
        return Outcome((*differences(before, settings), *rekeyed, *recertified), (*restart, *prepared.restart))

    def _prepare_hops(self, settings: S) -> Prepared[S]:
        if self.hops is None or not isinstance(settings, HopSettings):
            return Prepared(settings)
        try:
            possible_now = self.hops.ports.prepare(settings.hops_listen, self.sockets)
        except CannotListenError as error:
            return Prepared(settings, problems=(Problem("hops-listen", one_line(error)),))
        if possible_now:
            return Prepared(settings)
        return Prepared(evolve(settings, hops_listen=self.hops.ports.listen), restart=("hops-listen",))

    def _prepare_metrics(self, settings: S) -> Prepared[S]:
        try:
            self._metrics.prepare(settings.metrics, self.sockets)
        except CannotListenError as error:
            return Prepared(settings, problems=(Problem("metrics.listen", one_line(error)),))
        return Prepared(settings)

    def _keep_messages(self, before: S, settings: S) -> tuple[S, tuple[str, ...]]:
        """Return settings with those of messages as far as they can change now, and what only a restart changes."""
        if not isinstance(settings, InitiatorSettings | ResponderSettings):
            return settings, ()
        messages, restart = possible_messages(self._message_settings(before), settings.messages)
        return evolve(settings, messages=messages), restart

    def _settle_messages(self) -> None:
        settings = self._message_settings(self.settings)
        if self.messages is not None and settings is not None:
            self.messages.reconfigure(settings, self.loaded.credentials, self.loaded.prekeys)

    def _settle_hops(self) -> None:
        if self.hops is not None and isinstance(self.settings, HopSettings):
            settings = self.settings
            self.hops.ports.settle(settings.hops_listen)
            if self.associated is not None:
                self.associated.meet(settings.hops)
            self.hops.reconfigure(settings.hops, settings.hops_listen, self.loaded.credentials)

    def stopService(self) -> Deferred[None]:
        """Stop everything that was started; fire when all is written and closed."""
        self._running = False
        self.supervisor.stopping()
        if self._end_hearing is not None:
            self._end_hearing()
        if self._exchange is not None:
            self._exchange.stop()
        if self._forgetting is not None:
            self._forgetting.stop()
        stopping: list[Deferred[Any]] = [maybeDeferred(super().stopService)]
        if self._control is not None:
            stopping.append(maybeDeferred(self._control.stopListening))
        if self._desk is not None:
            stopping.append(self._desk.close())
        stopping += self.close()
        if self.messages is not None:
            stopping.append(self.messages.close())
        if self.house is not None:
            stopping += self.house.stop()
        if self.hops is not None:
            stopping.append(self.hops.close())
        stopping += self._metrics.close()
        self.dialogs.lose_all("this daemon is shutting down")
        closed: Deferred[Any] = DeferredList(stopping, consumeErrors=True)
        closed.addTimeout(STOP_WITHIN, self.reactor).addErrback(self._stopped_badly)
        closed.addCallback(lambda _: DeferredList([maybeDeferred(stop) for stop in (self._stop_principal,)]))
        if self.messages is not None:
            messages = self.messages
            closed.addCallback(lambda _: messages.stop()).addErrback(self._stopped_badly)
        if self._commits is not None:
            commits = self._commits
            closed.addCallback(lambda _: commits.stop())
        return closed.addErrback(self._stopped_badly).addCallback(self._stopped)

    def _stop_principal(self) -> Deferred[Any]:
        return DeferredList(self.principal.stop(), consumeErrors=True)

    def _stopped_badly(self, failure: Failure) -> None:
        self.log.say("error", "stopping: {why}", why=failure.getErrorMessage())

    def _stopped(self, _: object) -> None:
        self.log.say("info", "{role} has stopped", role=self.settings.role)
        if self._lock is not None:
            self._lock.release()
        if self._key_log is not None:
            self._key_log.close()
        if self._end_observing is not None:
            self._end_observing()

    # -- what both roles use

    def terms(self, peer: InitiatorPeer | ResponderPeer | Hop, clock_window: int = 300) -> Terms:
        """Return the terms of exchanges with ``peer``."""
        settings, credentials, nai = self.settings, self.loaded.credentials, peer.nai
        authority: Authority
        if peer.key0 is not None:
            key = self.loaded.keys[nai]
            authority = Key0(key.key, key.spi, key.kvno, (key.initiator, key.responder))
        elif peer.authentication == "registration":
            authority = Registration(settings.identity.nai, nai)
        elif credentials is not None:
            authority = Certificates(credentials.identity, credentials.trust, nai)
        else:
            raise ApiMisuse(f"nothing is configured that would authenticate {nai}")
        policy, worker = settings.policy.as_policy(), settings.state.worker
        return Terms(settings.identity.nai, nai, authority, policy, os.urandom, worker, clock_window)

    def new_dialog_id(self) -> bytes:
        """Return the id of a new dialog: random, with this worker's number in its lowest bits."""
        drawn = int.from_bytes(os.urandom(DIALOG_ID_SIZE), "big")
        return (drawn >> WORKER_BITS << WORKER_BITS | self.settings.state.worker).to_bytes(DIALOG_ID_SIZE, "big")

    def link_terms(self, credit: int, most_dialogs: int) -> LinkTerms:
        """Return what all links of this daemon have in common."""
        limits = Hello(credit, most_dialogs, MAX_BODY)
        clock, dead_peer = self.clock, self.settings.dead_peer
        return LinkTerms(
            self.reactor,
            limits,
            lambda: int(clock.wall() * 1e9),
            os.urandom,
            self.dialogs,
            DeadPeer(dead_peer.idle, dead_peer.timeout),
            None if self.settings.debug.key_log is None else self._note_keys,
        )

    def dialog_counters(self) -> dict[str, int]:
        """Return the counters of dialogs that no link carries."""
        return {"dialogs.detached": self.dialogs.detached, "dialogs.not-resumed": self.dialogs.lost}

    def retire_idle(self, link: Link) -> None:
        """Forget the associations with a link's peer that have no link, once a newer one has."""
        if link.association is None:
            return
        held = self.principal.node.associations.held(link.association.peer)
        linked = [at for at, each in enumerate(held) if self.traffic.links(each)]
        for at, association in enumerate(held):
            newer = bool(linked) and linked[-1] > at
            if newer and association.confirmed and not self.traffic.links(association):
                self.principal.retire(association)

    def find(self, spi: int) -> LinkAssociation | None:
        """Return the association that a HELLO names, if it lives and may carry more."""
        association = self.principal.node.usable(spi, self.clock.now())
        return None if association is None else self.traffic.link_association(association, opens=False)


def _contents(credentials: Credentials | None) -> dict[str, bytes]:
    return {} if credentials is None else credentials.contents()


def now_or_never(done: Deferred[Any]) -> None:
    """Raise what ``done`` has failed with; listening on this machine succeeds or fails at once."""
    failed: list[Failure] = []
    done.addErrback(failed.append)
    if failed:
        failed[0].raiseException()


def one_line(error: BaseException) -> str:
    """Return what an error says, on one line."""
    if isinstance(error, CannotListenError):
        return f"{error.interface or 'any address'} port {error.port} cannot be listened on: {error.socketError}"
    return " ".join(str(error).split())
