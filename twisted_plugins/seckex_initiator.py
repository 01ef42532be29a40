"""Makes ``twistd seckex-initiator`` and ``twist seckex-initiator`` known."""

from twisted.application.service import ServiceMaker

initiator = ServiceMaker(
    "seckex initiator",
    "seckex.tap_initiator",
    "Negotiates security associations and carries local programs' traffic to a responder.",
    "seckex-initiator",
)
