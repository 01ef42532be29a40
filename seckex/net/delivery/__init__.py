"""Messages at the edge: connections, the store, programs (docs/messages.md)."""
