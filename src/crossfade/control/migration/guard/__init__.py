"""Guards: when live counts say that the candidate harms, and whether the counts can be trusted."""
