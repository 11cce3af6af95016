"""Agent files: found, read, turned into requests for a runtime, and their answers read."""
