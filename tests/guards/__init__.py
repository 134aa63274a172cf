"""What is true of the whole house, whichever room is built next."""
