"""Tests of messages over HTTP."""
