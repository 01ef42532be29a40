"""What a key log holds: the keys of a link on one line, for whoever reads captured traffic.

Whoever has such a line can read, and forge, all that the link carries; so lines
are made only where a configuration names a file for them (`debug.key-log`).
Nothing else of an association can be had from them: they hold no key that
others come from.
"""

from __future__ import annotations

from typing import Final

from seckex.crypto.schedule import LinkSchedule, RecordKey

LABEL: Final = "SECKEX_LINK"


def link_line(schedule: LinkSchedule, salt_i: bytes, salt_r: bytes) -> str:
    """Return the line of the link with these salts, without a newline.

    ``SECKEX_LINK suite context S_i S_r hello_i hello_r body_i body_r``: the suite's number, all else in hexadecimal,
    each key with its prefix behind it (docs/protocol.md, section 10).
    """
    keys = schedule.body(salt_i, salt_r)
    records = (schedule.hello_i(salt_i), schedule.hello_r(salt_i, salt_r), keys.initiator, keys.responder)
    words = (f"{keys.context:08x}", salt_i.hex(), salt_r.hex(), *map(_key, records))
    return " ".join((LABEL, str(int(schedule.suite)), *words))


def _key(record: RecordKey) -> str:
    return (record.key.octets + record.prefix).hex()
