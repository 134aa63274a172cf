"""The first hour of a new user with real processes, and what the server stores afterwards."""
