"""Whose request it is: docs/registration.md, sections 4, 5 and 8.

First the agent proves its name and that it is allowed to relay, which costs a
signature; then the node is found. A one-time SPI leads to a few nodes whose roots are
tried; where none of them verifies, the static keys themselves may open the identity
block, and whom it names is tried. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen

from seckex.crypto.identity import Voucher
from seckex.crypto.registration import Root, fallback_kid, verify_mac
from seckex.crypto.registration_seals import open_identity, verify_request
from seckex.crypto.secrets import Secret
from seckex.errors import AuthenticationFailed, BadCertificate, Malformed, PeerFault
from seckex.machine import Now
from seckex.roles.home_agent.nodes import Credentials, KnownNode, NodeTable
from seckex.roles.home_agent.records import StaticKey
from seckex.roles.home_agent.refusals import Unheard
from seckex.roles.home_agent.terms import HomeTerms, realm_of
from seckex.roles.places import may_be_at
from seckex.wire.mobileip import AgentRequest, NodeRequest
from seckex.wire.numbers import Code
from seckex.wire.registration import IdentityBlock, decode_block


@frozen
class Recognized:
    """A node's authentic request, of an index that was not used; ``root`` is the one that it came under."""

    node: KnownNode
    credentials: Credentials
    root: Root
    es: Secret = field(repr=False)
    block: IdentityBlock
    fallback: bool

    @property
    def renewed(self) -> bool:
        """Whether it came under the root that was healed."""
        return self.root is self.credentials.healed


def admit(asked: AgentRequest, terms: HomeTerms, now: Now) -> Voucher:
    """Return who the agent is; raises `Unheard` where it is nobody, or somebody who may not relay."""
    agent, failed = asked.request.agent, Code.AGENT_FAILED_AUTHENTICATION
    try:
        voucher = terms.trust.verify(asked.certificates, now.wall)
    except BadCertificate as flaw:
        raise Unheard(failed, f"agent-certificate-{flaw.flaw.value}", f"{agent}: {flaw.why}") from None
    if voucher.nai != agent:
        raise Unheard(failed, "agent-name", f"{voucher.nai} relays a request that was made to {agent}")
    try:
        verify_request(voucher, asked.signature, asked.octets[: asked.signed], terms.nai)
    except AuthenticationFailed as error:
        raise Unheard(failed, "agent-signature", str(error)) from None
    if asked.request.home_agent != terms.nai:
        raise Unheard(Code.UNKNOWN_HOME_AGENT, "other-home-agent", f"the request is for {asked.request.home_agent}")
    if not terms.allows_domain(agent):
        raise Unheard(Code.UNKNOWN_DOMAIN, "domain", f"agents of {realm_of(agent)} may not relay: {agent}")
    if not terms.allows_agent(agent):
        raise Unheard(Code.AGENT_NOT_ALLOWED, "agent", f"{agent} is not among the agents that may relay")
    if not may_be_at(asked.address, terms.address):
        why = f"{agent} says that it is at {asked.address}, where nobody can be told anything"
        raise Unheard(Code.POORLY_FORMED, "agent-address", why)
    return voucher


def recognize(request: NodeRequest, nodes: NodeTable, statics: Iterable[StaticKey]) -> Recognized:
    """Return whose request it is; raises `Unheard`."""
    candidates = nodes.candidates(request.spi)
    try:
        # With all of them: the time that it takes is not to tell which form a request has, or how old its key is.
        opened = [static.key.open(request.ciphertext) for static in statics]
    except PeerFault as fault:
        raise Unheard(Code.BAD_KEY_SHARE, "share", str(fault)) from None
    for es in opened:
        for node in candidates:
            found = _by_spi(request, node, es)
            if found is not None:
                return _unused(found, request)
    for es in opened:
        found = _by_fallback(request, nodes, es)
        if found is not None:
            return _unused(found, request)
    count = len(candidates)
    why = f"no node of ours has made it, {count} were tried by its SPI and {len(opened)} static keys open nothing in it"
    raise Unheard(Code.FAILED_AUTHENTICATION, "node-authentication", why)


def _by_spi(request: NodeRequest, node: KnownNode, es: Secret) -> Recognized | None:
    hd, covered = request.octets[: request.hd_end], request.octets[: request.covered]
    for credentials in node.credentials:
        if request.spi not in credentials.window.spis:
            continue
        for root in credentials.roots:
            keys = root.request_keys(es, hd)
            try:
                verify_mac(keys.ka, covered, request.mac)
                block = decode_block(open_identity(keys.kid, hd, request.sealed))
            except (AuthenticationFailed, Malformed, PeerFault):
                continue
            if block.node == node.nai:
                return Recognized(node, credentials, root, es, block, fallback=False)
    return None


def _by_fallback(request: NodeRequest, nodes: NodeTable, es: Secret) -> Recognized | None:
    hd, covered = request.octets[: request.hd_end], request.octets[: request.covered]
    try:
        block = decode_block(open_identity(fallback_kid(es, hd), hd, request.sealed))
    except (AuthenticationFailed, Malformed, PeerFault):
        return None
    node = nodes.get(block.node)
    if node is None:
        why = f"it is said to be of {block.node}, who is not known here"
        raise Unheard(Code.FAILED_AUTHENTICATION, "unknown-node", why, block.node)
    for credentials in node.credentials:
        for root in credentials.roots:
            try:
                verify_mac(root.request_keys(es, hd).ka, covered, request.mac)
            except AuthenticationFailed:
                continue
            return Recognized(node, credentials, root, es, block, fallback=True)
    why = f"it is said to be of {block.node} and was not made with what we share, in version {block.kvno} of KEY 0"
    raise Unheard(Code.FAILED_AUTHENTICATION, "node-authentication", why)


def _unused(found: Recognized, request: NodeRequest) -> Recognized:
    """Return what was found; raises `Unheard` where its index was used before, or makes no sense."""
    window, index, nai = found.credentials.window, found.block.index, found.node.nai
    if index < window.base:
        why = f"{nai} has used index {index}, the next is {window.base}"
        raise Unheard(Code.REPLAYED, "replay", why)
    if not window.takes(index):
        why = f"index {index} of {nai} is too far from {window.base}, the next: it needs a new KEY 0"
        raise Unheard(Code.FAILED_AUTHENTICATION, "index", why)
    if not found.fallback and window.spis[index - window.base : index - window.base + 1] != (request.spi,):
        raise Unheard(Code.FAILED_AUTHENTICATION, "index", f"the SPI is not that of index {index} of {nai}")
    return found
