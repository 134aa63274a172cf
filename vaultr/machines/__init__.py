"""Machines: access for CI jobs, pods and scripts to some vaults of an account."""
