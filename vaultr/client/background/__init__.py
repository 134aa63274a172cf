"""Processes that outlive a command: the agent holds a key, another clears the clipboard."""
