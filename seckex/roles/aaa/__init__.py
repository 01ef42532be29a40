"""AAA relays: they pass registrations on by the realm of the home agent, and answers back."""
