"""Primitives and key material: the only importer of ``cryptography``."""
