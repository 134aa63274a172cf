"""The archive of everything that the server holds about an account."""
