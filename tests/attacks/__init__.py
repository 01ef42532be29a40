"""What somebody between can do, in every class, to every message and record: a literal table, each cell a test."""
