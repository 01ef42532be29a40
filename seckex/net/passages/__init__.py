"""Passages at the edge: who calls, and the sockets of what they carry."""
