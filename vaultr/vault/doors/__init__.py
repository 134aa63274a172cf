"""The routes of vaults, a module for each concept, all on one blueprint."""
