"""What stands behind the SDK's face: a device's access, what an unlocked account can do."""
