"""Durable messages: dialogs whose messages arrive exactly once and in order (docs/messages.md)."""
