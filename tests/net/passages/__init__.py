"""Tests of seckex.net.passages."""
