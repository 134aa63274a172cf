"""A small web server that reads items for a cluster or a CI runner, with a machine's token."""
