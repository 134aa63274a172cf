"""Generate, check and rotate the server's keys."""
