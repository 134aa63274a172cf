"""Commands for operators, and background jobs."""
