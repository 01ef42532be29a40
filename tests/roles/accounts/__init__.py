"""Tests of what agents and home agents keep of traffic."""
