"""The mobile node: hears of foreign agents, registers with its home agent by way of one, and keeps that up.

What it remembers is in `records`, whom it hears in `agents`, one registration in
`registering`, and when to begin one, with whom, in `role`.
"""
