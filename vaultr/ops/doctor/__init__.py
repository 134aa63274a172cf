"""`flask doctor`: check everything that Vaultr depends on, and say what to do."""
