"""The client: it seals, derives and checks everything, and believes only what it can verify."""
