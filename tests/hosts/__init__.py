"""Daemons on hosts of their own: network namespaces with wires between them that are cut, renumbered and translated."""
