"""Rate limits: what is counted, under which key, and the fallback when Redis is unavailable."""
