"""What holds Vaultr to its word."""
