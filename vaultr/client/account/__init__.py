"""The account: sign up, log in, unlock, recover, change the password, list sessions."""
