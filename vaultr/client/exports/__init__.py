"""Write environment sets and whole vaults in the formats of other programs."""
