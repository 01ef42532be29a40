"""Tests of the roles of a roaming network."""
