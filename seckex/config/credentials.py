"""Our certificate and whom we trust, read from the files that ``[identity]`` names.

What is judged here is whether the files fit each other and us. Whether a
certificate lives depends on the clock, and is found when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from attrs import frozen

from seckex.config.common import Identity as IdentitySettings
from seckex.config.files import Owner, read_private, read_public
from seckex.config.problems import ConfigInvalid, Problem
from seckex.crypto.certificates import read_certificates
from seckex.crypto.identity import Identity, Trust, TrustAnchors, read_private_key
from seckex.crypto.pairing import Acquaintance
from seckex.crypto.pinned import PinnedTrust
from seckex.crypto.revocation import RevocationLists, read_list
from seckex.crypto.suites import SHA256
from seckex.errors import BadCertificate

MAX_PEM: Final = 2**20
MAX_KEY: Final = 2**14

T = TypeVar("T")


@frozen
class Credentials:
    """What an exchange by certificates needs on this side."""

    identity: Identity
    trust: Trust

    def contents(self) -> dict[str, bytes]:
        """Return, by setting, the hash of what its files have in them."""
        return {"identity.certificate": SHA256.digest(*self.identity.chain)} | {
            f"identity.{name}": digest for name, digest in self.trust.digests.items()
        }


def read_identity(settings: IdentitySettings, owner: Owner) -> tuple[Identity | None, list[Problem]]:
    """Return who we are, None where that is not configured, and all that is wrong with its files."""
    problems: list[Problem] = []
    attempt = _attempt(problems)
    chain, held = settings.certificate, settings.private_key
    if chain is None or held is None:
        return None, problems
    identity = None
    certificates = attempt("identity.certificate", partial(_named, owner, chain, read_certificates))
    key = attempt("identity.private-key", partial(_named, owner, held, read_private_key, read_private, MAX_KEY))
    if certificates is not None and key is not None:
        identity = attempt("identity.certificate", partial(Identity, certificates, key))
    if identity is not None and identity.nai != settings.nai:
        problems.append(Problem("identity.certificate", f"{chain} is of {identity.nai}, not of {settings.nai}"))
    return identity, problems


def read_credentials(
    settings: IdentitySettings | None,
    owner: Owner,
    paired: Sequence[Acquaintance] = (),
    wanted: str | None = None,
) -> tuple[Credentials | None, list[Problem]]:
    """Return the credentials, None where they are not configured whole, and all that is wrong with their files.

    ``paired`` are those that were paired with, ``wanted`` says who needs certificates, if anybody.
    """
    if settings is None:
        return None, []
    identity, problems = read_identity(settings, owner)
    attempt = _attempt(problems)
    if not settings.trust and not paired and (wanted or settings.certificate or settings.private_key):
        problems.append(Problem("identity.trust", f"is required: {wanted or 'the others are there'}"))
    anchors = [
        attempt(f"identity.trust[{index}]", partial(_named, owner, file, read_certificates))
        for index, file in enumerate(settings.trust)
    ]
    lists = [
        attempt(f"identity.revocation[{index}]", partial(_named, owner, file, read_list))
        for index, file in enumerate(settings.revocation)
    ]
    trusted = [certificate for found in anchors if found for certificate in found]
    trust: Trust | None = None
    if trusted and None not in anchors and None not in lists:
        known = RevocationLists(each for each in lists if each is not None)
        trust = attempt("identity.trust", partial(TrustAnchors, trusted, known))
    if paired:
        trust = PinnedTrust((each.certificate for each in paired), trust)
    if identity is None or trust is None or problems:
        return None, problems
    return Credentials(identity, trust), problems


class _Attempt(Protocol):
    def __call__(self, path: str, call: Callable[[], T]) -> T | None: ...


def _attempt(problems: list[Problem]) -> _Attempt:
    """Return what calls, and notes what is wrong among ``problems``."""

    def attempt(path: str, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except ConfigInvalid as error:
            problems.append(Problem(path, f"{error.file}: {'; '.join(map(str, error.problems))}"))
        except BadCertificate as error:
            problems.append(Problem(path, error.why))
        return None

    return attempt


def _named(
    owner: Owner,
    file: Path,
    read: Callable[[bytes], T],
    read_file: Callable[[Path, int, Owner], bytes] = read_public,
    most: int = MAX_PEM,
) -> T:
    """Read a file; what is wrong with it names it."""
    octets = read_file(file, most, owner)
    try:
        return read(octets)
    except BadCertificate as error:
        raise BadCertificate(error.flaw, f"{file}: {error.why}") from None
