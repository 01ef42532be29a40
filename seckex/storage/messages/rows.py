"""Dialogs, segments, dead messages and programs' keys as rows of tables.

Dialogs, what is known of dead messages and programs' keys are sealed under the
master key; each seal is bound to its table and to the columns beside it.
Segments are sealed under the key of their epoch. The octets of a dead message
are sealed under a key of its own, which is in its head: it may be kept for long,
and must keep no epoch alive, nor be readable when it was dropped.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple, TypeAlias

from seckex.crypto.atrest import Wrapping
from seckex.crypto.epochs import EPOCH_KEY_SIZE, EPOCH_OVERHEAD, EpochKey
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256
from seckex.delivery.store import (
    DeadMessage,
    KeptEnvelope,
    KeptIndex,
    PutKey,
    PutTold,
    Segment,
    SegmentIndex,
    StoredDialog,
)
from seckex.errors import ApiMisuse, AuthenticationFailed
from seckex.storage.messages.schema import BIAS, EPOCH_BITS
from seckex.storage.rows import Damaged

Row: TypeAlias = tuple[Any, ...]

DIALOG_COLUMNS: Final = "id, forget, octets"
SEGMENT_COLUMNS: Final = "seq, dialog, side, first, last, size, stored, spool, octets"
INDEX_COLUMNS: Final = "dialog, side, first, last, size, stored, spool, length(octets)"
DEAD_COLUMNS: Final = "dialog, side, number, spool, head, octets"
EPOCH_COLUMNS: Final = "id, wrapped"
SENT_COLUMNS: Final = "dialog, tag, until, octets"

_ID: Final = 16
_INITIATOR, _LAST, _PEER_LAST, _ANONYMOUS = 1, 2, 4, 8
_DIALOG: Final = struct.Struct(">BBIQQQQQQQddHHHHHH")
_SKIP: Final = struct.Struct(">QQ")
_FORGET: Final = struct.Struct(">10s16sd")
_SEGMENT: Final = struct.Struct(">10s16sBqqQd")
_DEAD: Final = struct.Struct(f">{EPOCH_KEY_SIZE}sIdIQHHH")
_DEAD_BOUND: Final = struct.Struct(">7s16sBq")
_SENT: Final = struct.Struct(">Q")
_SENT_BOUND: Final = struct.Struct(">7s16s16sd")
_NUMBER: Final = (1 << EPOCH_BITS) - 1

#: Octets of the hash that names an envelope.
_DIGEST: Final = 16

_ODD: Final = "a column holds something else than it should"
_SEAL: Final = "its seal does not verify"
_WRONG: Final = (ApiMisuse, AttributeError, IndexError, OverflowError, TypeError, ValueError, struct.error)


# -- dialogs


def dialog_row(dialog: StoredDialog, wrapping: Wrapping) -> Row:
    """Return the row of `DIALOG_COLUMNS` for ``dialog``."""
    d = dialog
    peer, service, own, label, why = texts = [text.encode() for text in (d.peer, d.service, d.own, d.label, d.why)]
    last, peer_last = d.last, d.peer_last
    octets = _DIALOG.pack(
        d.initiator * _INITIATOR
        | (last is not None) * _LAST
        | (peer_last is not None) * _PEER_LAST
        | d.anonymous * _ANONYMOUS,
        d.priority,
        d.code,
        d.next_number,
        d.acknowledged,
        d.processed,
        d.delivered,
        d.done,
        last or 0,
        peer_last or 0,
        d.created,
        d.restored,
        len(peer),
        len(service),
        len(own),
        len(label),
        len(why),
        len(d.skips),
    ) + b"".join(texts)
    if d.skips:
        octets += b"".join([_SKIP.pack(*skip) for skip in d.skips])
    return d.dialog_id, d.forget, wrapping.wrap(octets, _FORGET.pack(b"dialog v1", d.dialog_id, d.forget))


def read_dialog(row: Row, wrapping: Wrapping) -> StoredDialog:
    """Return what `dialog_row` made ``row`` of; raise `Damaged` for anything else."""
    try:
        dialog_id, forget, _ = row
        octets = wrapping.unwrap(*dialog_seal(row))
        flags, priority, code, *rest = _DIALOG.unpack_from(octets)
        following, acknowledged, processed, delivered, done, last, peer_last, created, restored, *lengths, skips = rest
        at = _DIALOG.size
        texts: list[str] = []
        for length in lengths:
            texts.append(octets[at : at + length].decode())
            at += length
        peer, service, own, label, why = texts
        return StoredDialog(
            dialog_id=dialog_id,
            initiator=bool(flags & _INITIATOR),
            peer=peer,
            service=service,
            own=own,
            priority=priority,
            label=label,
            created=created,
            next_number=following,
            acknowledged=acknowledged,
            processed=processed,
            delivered=delivered,
            done=done,
            skips=tuple(_SKIP.unpack_from(octets, at + n * _SKIP.size) for n in range(skips)),
            last=last if flags & _LAST else None,
            peer_last=peer_last if flags & _PEER_LAST else None,
            code=code,
            why=why,
            forget=forget,
            anonymous=bool(flags & _ANONYMOUS),
            restored=restored,
        )
    except AuthenticationFailed:
        cause = _SEAL
    except (Damaged, *_WRONG):
        cause = _ODD
    raise Damaged(f"the dialog {_shown(row[0])} is left out: {cause}")


def dialog_seal(row: Row) -> tuple[bytes, bytes]:
    """Return what is sealed in a row of `DIALOG_COLUMNS`, and what it is bound to; raise `Damaged`."""
    dialog_id, forget, octets = row
    if not _is_id(dialog_id) or type(forget) is not float or type(octets) is not bytes:
        raise Damaged(f"the dialog {_shown(dialog_id)} is damaged")
    return octets, _FORGET.pack(b"dialog v1", dialog_id, forget)


# -- segments


def segment_row(segment: Segment, epoch: int, number: int, key: EpochKey) -> Row:
    """Return the row of `SEGMENT_COLUMNS` for ``segment``, the ``number``-th of its epoch."""
    s = segment
    side, first, spool = not s.ours, s.first - BIAS, s.spool
    last = first + s.count - 1
    bound = _SEGMENT.pack(b"segment v1", s.dialog_id, side, first, last, s.size, s.stored)
    if spool:
        bound += spool.encode()
    seq = epoch << EPOCH_BITS | number
    return seq, s.dialog_id, side, first, last, s.size, s.stored, spool, key.seal(number, s.octets, bound)


def epoch_of(seq: object) -> int:
    """Return which epoch a row of segments belongs to; raise `Damaged`."""
    if type(seq) is not int or seq < 0:
        raise Damaged("a segment is damaged")
    return seq >> EPOCH_BITS


def epoch_bound(epoch: int) -> bytes:
    """Return what the key of an epoch is bound to."""
    return b"epoch v1" + epoch.to_bytes(8, "big")


def epoch_seal(row: Row) -> tuple[bytes, bytes]:
    """Return what is sealed in a row of `EPOCH_COLUMNS`, and what it is bound to; raise `Damaged`."""
    epoch, wrapped = row
    if type(wrapped) is not bytes or not 0 <= epoch < BIAS:
        raise Damaged(f"the key of the epoch {epoch} is damaged")
    return wrapped, epoch_bound(epoch)


def read_segment(row: Row, key: EpochKey) -> Segment:
    """Return what `segment_row` made ``row`` of; raise `Damaged` for anything else."""
    seq, dialog_id, side, first, last, size, stored, spool, sealed = row
    try:
        bound = _SEGMENT.pack(b"segment v1", dialog_id, side, first, last, size, stored) + spool.encode()
        octets = key.open(seq & _NUMBER, sealed, bound)
        return Segment(dialog_id, side == 0, first + BIAS, last - first + 1, size, octets, spool, stored)
    except AuthenticationFailed:
        why = _SEAL
    except _WRONG:
        why = _ODD
    raise Damaged(f"a segment of the dialog {_shown(dialog_id)} cannot be read: {why}")


def read_index(row: Row) -> SegmentIndex:
    """Return what is told of a segment by ``row``, of `INDEX_COLUMNS`; raise `Damaged` for what no segment has."""
    dialog_id, side, first, last, size, stored, spool, length = row
    sound = (
        type(first) is int
        and type(last) is int
        and -BIAS < first <= last
        and (side == 0 or side == 1)
        and type(size) is int
        and size >= 0
        and type(stored) is float
        and type(spool) is str
        and type(length) is int
        and length >= EPOCH_OVERHEAD
    )
    if not sound:
        raise Damaged(f"a segment of the dialog {_shown(dialog_id)} is left out: {_ODD}")
    length -= EPOCH_OVERHEAD
    return SegmentIndex(dialog_id, side == 0, first + BIAS, last - first + 1, size, length, spool, stored)


# -- dead messages


def dead_row(dead: DeadMessage, wrapping: Wrapping, key: Secret) -> Row:
    """Return the row of `DEAD_COLUMNS` for ``dead``; ``key`` is new."""
    d = dead
    peer, service, why = texts = [text.encode() for text in (d.peer, d.service, d.why)]
    side, number = not d.ours, d.number - BIAS
    bound = _DEAD_BOUND.pack(b"dead v1", d.dialog_id, side, number) + d.spool.encode()
    head = _DEAD.pack(key.octets, d.code, d.at, d.attempts, d.size, len(peer), len(service), len(why))
    sealed = wrapping.wrap(head + b"".join(texts), bound)
    return d.dialog_id, side, number, d.spool, sealed, EpochKey(key).seal(0, d.octets, bound)


def read_dead(row: Row, wrapping: Wrapping, *, whole: bool) -> DeadMessage:
    """Return what `dead_row` made ``row`` of, without its octets unless ``whole``; raise `Damaged` for all else."""
    dialog_id, side, number, spool, _, sealed = row
    try:
        head, bound = dead_seal(row)
        octets = wrapping.unwrap(head, bound)
        key, code, at, attempts, size, *lengths = _DEAD.unpack_from(octets)
        texts: list[str] = []
        begin = _DEAD.size
        for length in lengths:
            texts.append(octets[begin : begin + length].decode())
            begin += length
        peer, service, why = texts
        payload = EpochKey(Secret(key)).open(0, sealed, bound) if whole else b""
        return DeadMessage(
            dialog_id, side == 0, number + BIAS, peer, service, code, why, at, attempts, size, payload, spool
        )
    except AuthenticationFailed:
        cause = _SEAL
    except (Damaged, *_WRONG):
        cause = _ODD
    raise Damaged(f"a dead message of the dialog {_shown(dialog_id)} cannot be read: {cause}")


def dead_seal(row: Row) -> tuple[bytes, bytes]:
    """Return what is sealed in a row of `DEAD_COLUMNS`, and what it is bound to; raise `Damaged`."""
    dialog_id, side, number, spool, head, _ = row
    try:
        if not _is_id(dialog_id) or type(head) is not bytes:
            raise ValueError("no seal")
        return head, _DEAD_BOUND.pack(b"dead v1", dialog_id, side, number) + spool.encode()
    except _WRONG:
        raise Damaged(f"a dead message of the dialog {_shown(dialog_id)} is damaged") from None


# -- programs' keys


class Sent(NamedTuple):
    """What a program's key has led to, as `MessageSnapshot.keys` has it."""

    key: str
    dialog_id: bytes
    number: int
    until: float


def sent_row(put: PutKey, tag: bytes, wrapping: Wrapping) -> Row:
    """Return the row of `SENT_COLUMNS` for a program's key that is found by ``tag``."""
    bound = _SENT_BOUND.pack(b"sent v1", put.dialog_id, tag, put.until)
    return put.dialog_id, tag, put.until, wrapping.wrap(_SENT.pack(put.number) + put.key.encode(), bound)


def read_sent(row: Row, wrapping: Wrapping) -> Sent:
    """Return what `sent_row` made ``row`` of; raise `Damaged` for anything else."""
    dialog_id, _, until, _ = row
    try:
        octets = wrapping.unwrap(*sent_seal(row))
        return Sent(octets[_SENT.size :].decode(), dialog_id, _SENT.unpack_from(octets)[0], until)
    except AuthenticationFailed:
        cause = _SEAL
    except (Damaged, *_WRONG):
        cause = _ODD
    raise Damaged(f"a program's key of the dialog {_shown(dialog_id)} is left out: {cause}")


def sent_seal(row: Row) -> tuple[bytes, bytes]:
    """Return what is sealed in a row of `SENT_COLUMNS`, and what it is bound to; raise `Damaged`."""
    dialog_id, tag, until, octets = row
    try:
        if not _is_id(dialog_id) or type(tag) is not bytes or len(tag) != _ID or type(octets) is not bytes:
            raise ValueError("no seal")
        return octets, _SENT_BOUND.pack(b"sent v1", dialog_id, tag, until)
    except _WRONG:
        raise Damaged(f"a program's key of the dialog {_shown(dialog_id)} is damaged") from None


def _is_id(dialog_id: object) -> bool:
    return type(dialog_id) is bytes and len(dialog_id) == _ID


def _shown(dialog_id: object) -> str:
    return dialog_id.hex()[:12] if isinstance(dialog_id, bytes) else "unreadable"


# -- what a relay has


def kept_row(envelope: KeptEnvelope) -> Row:
    """Return the row of an envelope that is kept."""
    e = envelope
    return e.number, e.destination, e.depositor, e.until, SHA256.digest(e.octets)[:_DIGEST], e.octets


def read_kept(row: Row) -> KeptIndex:
    """Return what is known of a kept envelope; raises `Damaged`."""
    number, destination, depositor, until, size, digest = row
    texts = isinstance(destination, str) and isinstance(depositor, str)
    if not texts or not isinstance(until, float) or not isinstance(digest, bytes) or len(digest) != _DIGEST:
        raise Damaged(f"the kept envelope {number} is left out: {_ODD}")
    return KeptIndex(number, destination, depositor, until, size, digest)


def told_row(told: PutTold) -> Row:
    """Return the row of the prekeys of a principal."""
    return told.nai, b"".join(len(each).to_bytes(2, "big") + each for each in told.prekeys)


def read_told(row: Row) -> PutTold:
    """Return the prekeys of a principal; raises `Damaged`."""
    nai, octets = row
    prekeys, at = [], 0
    if not isinstance(nai, str) or not isinstance(octets, bytes):
        raise Damaged(f"the prekeys of somebody are left out: {_ODD}")
    while at < len(octets):
        size = int.from_bytes(octets[at : at + 2], "big")
        prekeys.append(octets[at + 2 : at + 2 + size])
        at += 2 + size
    return PutTold(nai, tuple(prekeys))
