"""Accounts over HTTP, a module for each concept; all of them on one blueprint."""
