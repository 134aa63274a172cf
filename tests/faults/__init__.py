"""Tests with forks, killed processes and lost servers."""
