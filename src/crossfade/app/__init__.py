"""Processes and command line: the composition roots."""
