"""The objects of which the public SDK is composed."""
