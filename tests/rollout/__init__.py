"""The deployment files, by the programs that read them."""
