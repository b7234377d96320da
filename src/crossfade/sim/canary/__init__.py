"""Simulations of the guards: their error rates, and the harm done before they act."""
