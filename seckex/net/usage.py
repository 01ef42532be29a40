"""What goes over associations: links that are open, links that were, and how much they carried.

A link counts for itself; when it closes its counts are added to those of its
association, for as long as the daemon runs.
"""

from __future__ import annotations

from seckex.dialog.faces import LinkAssociation
from seckex.dialog.link import Link
from seckex.node.associations import AssociationTable
from seckex.sa.association import Association


class Traffic:
    """The open links of a daemon, by the SPI that their association has here."""

    def __init__(self, associations: AssociationTable) -> None:
        self._associations = associations
        self._links: dict[int, list[Link]] = {}
        self._past = 0, 0

    def opened(self, link: Link) -> None:
        """Count a link from now on."""
        if link.association is not None:
            self._links.setdefault(link.association.here, []).append(link)

    def closed(self, link: Link, association: Association | None) -> None:
        """Add what a link has carried to its association's counts, if that still lives."""
        for spi, links in tuple(self._links.items()):
            if link in links:
                self._past = self._past[0] + link.octets_in, self._past[1] + link.octets_out
                links.remove(link)
                if not links:
                    del self._links[spi]
        if association is not None:
            usage = self._associations.usage(association.spi_in)
            usage.octets_in += link.octets_in
            usage.octets_out += link.octets_out

    @property
    def open_links(self) -> int:
        """How many links are open."""
        return sum(map(len, self._links.values()))

    @property
    def open_dialogs(self) -> int:
        """How many dialogs they carry."""
        return sum(len(link.dialogs) for links in self._links.values() for link in links)

    def in_all(self) -> tuple[int, int]:
        """Return octets in and out that all links have carried, those that are closed included."""
        octets_in, octets_out = self._past
        for links in self._links.values():
            for link in links:
                octets_in, octets_out = octets_in + link.octets_in, octets_out + link.octets_out
        return octets_in, octets_out

    def links(self, association: Association) -> tuple[Link, ...]:
        """Return the open links under ``association``."""
        return tuple(self._links.get(association.spi_in, ()))

    def carried(self, association: Association) -> tuple[int, int]:
        """Return octets in and out under ``association``."""
        usage, links = self._associations.usage(association.spi_in), self.links(association)
        return (
            usage.octets_in + sum(link.octets_in for link in links),
            usage.octets_out + sum(link.octets_out for link in links),
        )

    def link_association(self, association: Association, *, opens: bool) -> LinkAssociation | None:
        """Return what a new link needs, at the end that ``opens`` it or at the other; None where it may not have one.

        Without encryption there is nothing to seal with. Where it has a bound
        on octets it carries one link: a second one at a time could pass the bound, and one
        after another could not tell what is left of it. With one SPI at both
        ends what one of them says to open a link could be sent back to it.
        """
        schedule = association.link_schedule()
        bound = association.octet_bound or None
        used = bound and (self.links(association) or any(self.carried(association)))
        if schedule is None or used or association.spi_in == association.spi_out:
            return None
        spi = association.spi_out if opens else association.spi_in
        # Like lifetimes, octets end at 80 to 90 %: not for all at once, though all may have the same bound.
        worn_at = 0.8 + 0.1 * association.transcript[0] / 0xFF
        return LinkAssociation(spi, association.peer, schedule, bound, here=association.spi_in, worn_at=worn_at)
