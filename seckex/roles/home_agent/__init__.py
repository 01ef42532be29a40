"""The home agent: knows where its nodes are, and has keys with them (docs/registration.md)."""

from seckex.roles.home_agent.role import HomeAgent as HomeAgent
from seckex.roles.home_agent.terms import HomeTerms as HomeTerms
from seckex.roles.home_agent.terms import Limits as Limits
