"""Provide secrets to other programs: git, Docker, SSH and shells."""
