"""The account itself: made, opened, recovered, its password changed, its sessions listed."""
