"""The key distribution center: it has KEY 0 of every node, and issues the keys of registrations.

docs/registration.md, section 12, is what it says over hops. `center.Center` is
the role; `principals` and `issued` are its tables, `copying` makes it a replica
of another center.
"""
