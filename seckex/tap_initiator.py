"""``twistd seckex-initiator`` and ``twist seckex-initiator``."""

from __future__ import annotations

from twisted.application.service import IService

from seckex.config.initiator import InitiatorSettings
from seckex.tap import DaemonOptions, prepare


class Options(DaemonOptions):
    """The options of the initiator."""

    synopsis = "[options] --config FILE"
    longdesc = "Negotiates security associations and carries local programs' traffic to a responder."


def makeService(options: Options) -> IService:
    """Return the daemon."""
    reactor, loaded = prepare(options, InitiatorSettings)
    from seckex.net.initiator import InitiatorDaemon

    daemon = InitiatorDaemon(reactor, loaded)
    daemon.be_the_process()
    return daemon
