"""How long what certificates prove lasts: ours, those of whom we trust, and revocation lists."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from seckex.cli.doctor.finding import Finding, bad, doubtful, good
from seckex.cli.output import EXPIRES_SOON, life
from seckex.config.common import Identity
from seckex.config.files import read_public
from seckex.config.problems import ConfigInvalid
from seckex.crypto.issuing import DAY
from seckex.crypto.showing import Shown, show
from seckex.errors import BadCertificate

_MOST: Final = 2**20


def certificates(identity: Identity) -> Iterator[Finding]:
    """Look at the files of ``[identity]``; whether they fit each other is looked at with the configuration."""
    ours = () if identity.certificate is None else (identity.certificate,)
    for file in (*ours, *identity.trust, *identity.revocation):
        for each in _shown(file):
            yield _judged(file, each, time.time())


def _shown(file: Path) -> list[Shown]:
    try:
        return show(read_public(file, _MOST))
    except (ConfigInvalid, BadCertificate):
        return []


def _judged(file: Path, each: Shown, now: float) -> Finding:
    kind = "revocation list" if each.kind == "list" else "certificate"
    since = min(each.since, now) if each.kind == "list" else each.since
    what = f"{file}: the {kind} of {each.name} is good {life(since, each.until, now)}"
    if now >= each.until or now < since:
        what = f"{file}: the {kind} of {each.name}: {life(since, each.until, now)}"
        return bad("certificates", what, _advice(each, "nobody is believed by it"))
    if each.until - now < EXPIRES_SOON * DAY and each.kind != "list":
        return doubtful("certificates", what, _advice(each, "nobody will be believed by it then"))
    return good("certificates", what)


def _advice(each: Shown, why: str) -> str:
    again = "have the list made anew" if each.kind == "list" else "have another one made"
    return f"{again} and the daemon read it (seckex reload): {why}"
