"""Charges per feature, idle capacity, reconciliation."""
