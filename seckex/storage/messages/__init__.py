"""Dialogs of messages in a database of their own, beside that of associations."""
