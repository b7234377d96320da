"""Collectors of evidence."""
