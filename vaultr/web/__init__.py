"""Pages of the server itself: small ones that letters link to."""
