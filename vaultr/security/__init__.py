"""Authentication, sessions of browsers, access tokens and server keys."""
