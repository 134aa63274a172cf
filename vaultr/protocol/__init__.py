"""What client and server must agree on: costs, limits, padding steps, log encoding, refusals."""
