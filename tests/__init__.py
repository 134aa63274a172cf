"""Tests of Vaultr."""
