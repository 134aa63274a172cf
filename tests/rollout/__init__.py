"""Tests of the deployment files with the real programs."""
