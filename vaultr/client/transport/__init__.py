"""The connection to the server: one origin, time limits, the session, checked responses."""
