"""How long certificates and revocation lists are good for: that they fit together is seen with the configuration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from seckex.cli.doctor.finding import Finding, bad, doubtful, good
from seckex.cli.output import expires_soon, life
from seckex.config.common import Identity
from seckex.config.files import read_public
from seckex.config.pairs import read_pairs
from seckex.config.problems import ConfigInvalid
from seckex.crypto.showing import Shown, show, show_certificate
from seckex.errors import BadCertificate

_MOST: Final = 2**20

_ADVICE: Final = {
    "list": "fetch a current one from its issuer (of an authority of your own: seckex cert crl), then seckex reload",
    "authority": "have the authority renewed at both ends, and what it has issued, then seckex reload",
}
_OWN: Final = "have it renewed (of an authority of your own: seckex cert new), then seckex reload"

_PAIRED: Final = "have it renewed there, and pair anew (seckex pair)"


def certificates(identity: Identity, state: Path) -> Iterator[Finding]:
    """Look at the life of our certificates, of those we trust, and of revocation lists; ``state`` is the directory."""
    now = time.time()
    files = (*((identity.certificate,) if identity.certificate else ()), *identity.trust, *identity.revocation)
    for file in files:
        yield from (_life(file, each, now) for each in _in(file))
    for file, paired in read_pairs(state)[0]:
        yield _life(file, show_certificate(paired.certificate), now, _PAIRED)


def _in(file: Path) -> list[Shown]:
    try:
        return show(read_public(file, _MOST))
    except (BadCertificate, ConfigInvalid):
        return []  # told of with the configuration


def _life(file: Path, each: Shown, now: float, advice: str = "") -> Finding:
    # A list may be used before the moment that it names, a certificate may not.
    since = min(each.since, now) if each.kind == "list" else each.since
    kind = "revocation list" if each.kind == "list" else each.kind
    what = f"{file}: {kind} of {each.name}, {life(since, each.until, now)}"
    advice = advice or _ADVICE.get(each.kind, _OWN)
    if now >= each.until:
        return bad("certificates", what, advice)
    if now < since:
        return bad("certificates", what, "see that this machine's clock is right, or wait")
    if expires_soon(since, each.until, now):
        return doubtful("certificates", what, advice)
    return good("certificates", what)
