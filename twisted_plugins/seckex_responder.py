"""Makes ``twistd seckex-responder`` and ``twist seckex-responder`` known."""

from twisted.application.service import ServiceMaker

responder = ServiceMaker(
    "seckex responder",
    "seckex.tap_responder",
    "Answers negotiations and connects dialogs to the services behind it.",
    "seckex-responder",
)
