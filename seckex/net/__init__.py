"""Twisted at the edge: moves bytes and runs actions, decides nothing."""
