"""Tests of ``seckex accounting``."""
