"""``twistd seckex-agent`` and ``twist seckex-agent``."""

from __future__ import annotations

from twisted.application.service import IService

from seckex.config.agent import AgentSettings
from seckex.tap import DaemonOptions, prepare


class Options(DaemonOptions):
    """The options of an agent."""

    synopsis = "[options] --config FILE"
    longdesc = "Advertises and relays registrations as a foreign agent, relays them as an AAA server, or both."


def makeService(options: Options) -> IService:
    """Return the daemon."""
    reactor, loaded = prepare(options, AgentSettings)
    from seckex.net.agent import AgentDaemon

    daemon = AgentDaemon(reactor, loaded)
    daemon.be_the_process()
    return daemon
