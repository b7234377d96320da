"""Collectors of evidence, the rollback drill among them."""
