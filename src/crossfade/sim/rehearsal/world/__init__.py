"""The deployment of a rehearsal: the parts behind the production controller, in memory."""
