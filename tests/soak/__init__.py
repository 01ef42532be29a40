"""Slow tests with real processes and figures: ``python -m tests.soak [NAME ...]``."""
