"""What happened, recorded in the transaction in which it happened, so that it can be proven."""
