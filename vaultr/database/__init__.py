"""The database: what tables are made of, how it is reached, and the one way to change it."""
