"""Pages that emails link to, and the API reference."""
