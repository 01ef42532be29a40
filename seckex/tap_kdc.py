"""``twistd seckex-kdc`` and ``twist seckex-kdc``."""

from __future__ import annotations

from twisted.application.service import IService

from seckex.config.kdc import KdcSettings
from seckex.tap import DaemonOptions, prepare


class Options(DaemonOptions):
    """The options of the key distribution center."""

    synopsis = "[options] --config FILE"
    longdesc = "Keeps KEY 0 of mobile nodes and issues the keys of their registrations."


def makeService(options: Options) -> IService:
    """Return the daemon."""
    reactor, loaded = prepare(options, KdcSettings)
    from seckex.net.kdc import KdcDaemon

    daemon = KdcDaemon(reactor, loaded)
    daemon.be_the_process()
    return daemon
