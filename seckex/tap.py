"""What the two plugins share: options, configuration, and the reactor's clock."""

from __future__ import annotations

import os
import pwd
import sys
import time
from pathlib import Path
from typing import Any, TypeVar

from twisted.python.usage import Options

from seckex.config.common import Settings
from seckex.config.files import Owner
from seckex.config.load import Loaded, load
from seckex.errors import SeckexError

S = TypeVar("S", bound=Settings)


class DaemonOptions(Options):
    """The options of either daemon."""

    optParameters = (("config", "c", None, "The configuration file (TOML); see `seckex check-config`."),)  # noqa: N815  # Twisted's name


def prepare(options: DaemonOptions, role: type[S]) -> tuple[Any, Loaded[S]]:
    """Return the reactor and the configuration; leaves with all that is wrong with the latter.

    Twisted's timers follow the wall clock: a step of it would stop or fire
    them all. Nothing is scheduled yet, so the reactor gets a clock that has no
    steps.
    """
    program = f"seckex-{role.role}"
    if not options["config"]:
        sys.exit(f"{program}: --config FILE is needed")
    try:
        loaded = load(Path(options["config"]), role, _owner(options))
    except SeckexError as error:
        # twistd would print its whole usage for a UsageError, and exit with 0.
        sys.exit(f"{program}: {error}")
    from twisted.internet import reactor

    installed: Any = reactor
    installed.seconds = time.monotonic
    return installed, loaded


def _owner(options: DaemonOptions) -> Owner:
    """Return who the daemon will run as once twistd has dropped the privileges that it was told to drop."""
    twistd: Any = options.parent or {}
    uid, gid = twistd.get("uid"), twistd.get("gid")
    if gid is None and uid is not None:
        # As twistd itself does.
        gid = pwd.getpwuid(uid).pw_gid
    return Owner(os.geteuid() if uid is None else uid, os.getegid() if gid is None else gid)
