"""Rate limits: what is counted, by which key, and the fallback while Redis is unavailable."""
