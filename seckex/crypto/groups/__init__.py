"""Key agreement groups: one interface for Diffie-Hellman and key encapsulation."""
