"""The commands that send and receive messages and look after them: they talk HTTP with the daemon, over its socket."""
