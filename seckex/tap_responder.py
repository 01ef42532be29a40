"""``twistd seckex-responder`` and ``twist seckex-responder``."""

from __future__ import annotations

from twisted.application.service import IService

from seckex.config.responder import ResponderSettings
from seckex.tap import DaemonOptions, prepare


class Options(DaemonOptions):
    """The options of the responder."""

    synopsis = "[options] --config FILE"
    longdesc = "Answers negotiations and connects dialogs to the services behind it."


def makeService(options: Options) -> IService:
    """Return the daemon."""
    reactor, loaded = prepare(options, ResponderSettings)
    from seckex.net.responder import ResponderDaemon

    daemon = ResponderDaemon(reactor, loaded)
    daemon.be_the_process()
    return daemon
