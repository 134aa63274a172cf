"""The files of a device: the device, its account, its pins, and its copy of the vaults."""
