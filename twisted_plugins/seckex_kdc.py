"""Makes ``twistd seckex-kdc`` and ``twist seckex-kdc`` known."""

from twisted.application.service import ServiceMaker

kdc = ServiceMaker(
    "seckex key distribution center",
    "seckex.tap_kdc",
    "Keeps KEY 0 of mobile nodes and issues the keys of their registrations.",
    "seckex-kdc",
)
