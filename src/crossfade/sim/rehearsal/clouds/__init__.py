"""How the clouds of a rehearsal answer, and what goes wrong there."""
