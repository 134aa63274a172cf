"""What happens when processes fork, are killed, or lose a server they need."""
