"""Verify the stored log as an operator: `flask audit verify`."""
