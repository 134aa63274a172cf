"""Values as they cross the wire. Nothing here imports Flask."""
