"""Who takes part in a roaming network: mobile node, foreign agent, home agent, relays, key distribution center.

Each is a `seckex.roles.faces.Role`: octets and outcomes in, actions out, and no
socket, clock or disk inside. `seckex.roles.house` puts several into one process.
docs/registration.md tells what they say to each other.
"""
