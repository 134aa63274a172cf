"""Types of request and response fields. Nothing here imports Flask."""
