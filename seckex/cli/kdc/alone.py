"""A center without its daemon: the same commands on its database, for as long as the worker's lock is held."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from seckex.cli.doctor.local import DATABASE
from seckex.cli.kdc.desk import Ask, kdc_of
from seckex.cli.output import Fault, NoDaemon, plain
from seckex.config.load import prepare_state, read_settings
from seckex.errors import StoreFailed
from seckex.machine import Now, Report
from seckex.net.control import Declined
from seckex.net.kdc_desk import OFF_LINE, commands_of
from seckex.net.principal import Clock
from seckex.node.actions import Commit
from seckex.roles.faces import RoleAction
from seckex.roles.kdc.center import LATER, Center
from seckex.storage.lock import WorkerLock
from seckex.storage.masterkey import load_master_key
from seckex.storage.sqlite import SqliteStore

T = TypeVar("T")


@contextmanager
def center_alone(config_path: Path) -> Iterator[Ask]:
    """Yield what asks the center of a configuration whose daemon does not run."""
    settings = read_settings(config_path)
    kdc, state = kdc_of(settings, config_path), settings.state
    database = state.directory / DATABASE
    if not database.exists():
        raise Fault(f"{database} is not there: make it with seckex kdc init --config {config_path}")
    prepare_state(config_path, state)
    try:
        lock = WorkerLock(state.directory, state.worker)
    except StoreFailed as error:
        raise NoDaemon(
            f"no daemon answers on {state.control}, though one runs or another command does: {error}"
        ) from error
    try:
        master = load_master_key(state.master_key, database, os.urandom)
        store = SqliteStore(database, master, os.urandom)
        try:
            yield Alone(Center(settings.identity.nai, kdc, os.urandom), store).ask
        finally:
            store.close()
    finally:
        lock.release()


class Alone:
    """Runs a center on its database, one request after the other."""

    def __init__(self, center: Center, store: SqliteStore) -> None:
        self._store = store
        self._clock = Clock()
        now = self._clock.now()
        snapshot = store.load(0, now.wall, later=LATER)
        for complaint in snapshot.damaged:
            click.echo(plain(complaint), err=True)
        actions = center.start(snapshot, now)
        while center.directory.loading:
            actions += center.tick(now)
        for action in actions:
            if isinstance(action, Report) and action.event.level == "error":
                click.echo(plain(action.event), err=True)
        self._center = center
        self._commands = commands_of(center, self._ask, self._aside, self._aside, self._clock, store, OFF_LINE)

    def ask(self, request: dict[str, Any], schema: str) -> dict[str, Any]:
        """See `Ask`."""
        del schema  # That of a command of this same program.
        try:
            answer = self._commands[request["command"]](request)
            return answer if isinstance(answer, dict) else _result(answer)
        except Declined as error:
            if error.word == "unfit":
                raise click.UsageError(str(error)) from error
            raise

    def _ask(self, what: Callable[[Now], list[RoleAction]]) -> None:
        """Do what the center wants as far as it is about its database; others hear of it from a daemon that starts."""
        waiting = what(self._clock.now())
        while waiting:
            action = waiting.pop(0)
            if isinstance(action, Commit):
                [outcome] = self._store.commit([action.unit])
                waiting += self._center.committed(action.token, outcome, self._clock.now())

    @staticmethod
    def _aside(call: Callable[[], T]) -> Deferred[T]:
        return maybeDeferred(call)


def _result(answer: Deferred[dict[str, Any]]) -> dict[str, Any]:
    """Return what has fired already."""
    found: list[Any] = []
    answer.addBoth(found.append)
    [result] = found
    if isinstance(result, Failure):
        result.raiseException()
    return dict(result)
