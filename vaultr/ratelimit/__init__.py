"""What is counted, by which key, and what happens when Redis is away."""
