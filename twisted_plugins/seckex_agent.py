"""Makes ``twistd seckex-agent`` and ``twist seckex-agent`` known."""

from twisted.application.service import ServiceMaker

agent = ServiceMaker(
    "seckex agent",
    "seckex.tap_agent",
    "Advertises and relays registrations of mobile nodes, as a foreign agent or an AAA server.",
    "seckex-agent",
)
