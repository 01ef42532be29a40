"""Sealing and opening single records, plainly: HELLO, and what the fast path is compared with.

docs/protocol.md, section 10: the nonce is the key's prefix and the record's
counter, the associated data all that comes before the body but the MIC, and the
MIC is the tag.
"""

from __future__ import annotations

from attrs import evolve

from seckex.crypto.schedule import RecordKey
from seckex.crypto.suites import InvalidTag, new_aead
from seckex.errors import AuthenticationFailed
from seckex.wire.dialog import MIC_SIZE, Record, associated_data


def seal_record(record: Record, key: RecordKey) -> Record:
    """Return ``record``, whose body is plaintext, with the body sealed and the MIC set."""
    sealed = new_aead(key.suite, key.key.octets).encrypt(_nonce(record, key), record.body, associated_data(record))
    return evolve(record, body=sealed[:-MIC_SIZE], mic=sealed[-MIC_SIZE:])


def open_record(record: Record, key: RecordKey) -> bytes:
    """Return the plaintext of a record's body; raises `AuthenticationFailed`."""
    if not record.sealed or record.suite is not key.suite:
        raise AuthenticationFailed("a record is not sealed with the suite of its key")
    aead = new_aead(key.suite, key.key.octets)
    try:
        return aead.decrypt(_nonce(record, key), record.body + record.mic, associated_data(record))
    except InvalidTag:
        raise AuthenticationFailed("the integrity check of a record failed") from None


def _nonce(record: Record, key: RecordKey) -> bytes:
    return key.prefix + record.counter.to_bytes(8, "big")
