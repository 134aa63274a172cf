"""The way to the server: one origin, limits of time, the session, and checked answers."""
