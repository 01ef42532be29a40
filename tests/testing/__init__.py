"""Tests of what programs are tested with."""
