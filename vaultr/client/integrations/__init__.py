"""Serve other programs that need secrets: git, Docker, SSH and shells."""
