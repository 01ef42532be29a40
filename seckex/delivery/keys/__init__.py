"""Keys of dialogs of messages: which headers an envelope gets, what both ends cache, what is missing, rotation."""
