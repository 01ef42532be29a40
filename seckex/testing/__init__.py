"""For the tests of programs that send and receive messages: a daemon and its peers in memory, under a manual clock.

`MemoryMessages` has the methods of `seckex.net.delivery.api.Messages` for the program, and others for its test:
``deliver`` a message as a peer would, ``advance`` the clock, ``crash`` and go on with what was durable. Nothing goes
over a network, nothing is encrypted, nothing is written. docs/programs.md has an example.
"""

from seckex.testing.delivered import Delivered, State
from seckex.testing.memory import MemoryMessages
from seckex.testing.posted import Posted

__all__ = ["Delivered", "MemoryMessages", "Posted", "State"]
