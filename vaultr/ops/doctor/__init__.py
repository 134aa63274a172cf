"""`flask doctor`: looks at everything that Vaultr stands on, and says what to do about it."""
