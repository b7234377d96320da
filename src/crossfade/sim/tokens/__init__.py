"""The simulated token endpoints."""
