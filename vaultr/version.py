"""The version of Vaultr."""

__version__ = "0.1.0"
