"""The foreign agent: docs/registration.md, sections 5, 6, 10 and 11."""

from seckex.roles.foreign_agent.agent import ForeignAgent as ForeignAgent
from seckex.roles.foreign_agent.terms import AgentTerms as AgentTerms
from seckex.roles.foreign_agent.terms import Limits as Limits
