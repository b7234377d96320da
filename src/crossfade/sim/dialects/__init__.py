"""The bodies that simulated clouds speak."""
