"""Secure hops between neighbours: docs/registration.md, section 11."""
