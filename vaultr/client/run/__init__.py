"""`vaultr run`: variables gathered out of vaults, and a command that runs with them."""
