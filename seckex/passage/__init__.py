"""Traffic through agents: docs/passages.md, without sockets."""
