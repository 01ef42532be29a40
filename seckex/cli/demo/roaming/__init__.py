"""The roaming network on one machine: all roles as processes, and what each of them learns."""

from seckex.cli.demo.roaming.play import RoamingPlay
from seckex.cli.demo.roaming.world import KEYINGS, TOPOLOGIES, World

__all__ = ["KEYINGS", "TOPOLOGIES", "RoamingPlay", "World"]
