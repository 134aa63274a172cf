"""Recovery from a server that lost or rolled back data: explain, accept, write again."""
