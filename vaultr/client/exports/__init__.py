"""Writes environment sets in the formats of shells, containers and programs."""
