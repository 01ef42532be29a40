"""Tests of the commands that send and receive messages."""
