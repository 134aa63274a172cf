"""What operators run: keys, settings, jobs in the background."""
