"""The audit log: record events, sequence them into a Merkle tree, prove and verify them."""
