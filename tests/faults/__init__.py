"""Tests with forks, killed processes and stopped servers."""
