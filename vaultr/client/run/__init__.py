"""Run a command with secrets: resolve variables, mask output, restart on changes."""
