"""The top of the sans-I/O house: one principal, all its conversations."""
