"""Messages for programs of other processes: HTTP over a unix socket, and over loopback TCP with a token."""
