"""Tests of messages at the edge."""
