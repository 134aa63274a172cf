"""Helpers of tests that run the client: devices, terminals, and servers in memory."""
