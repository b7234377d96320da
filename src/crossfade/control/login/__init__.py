"""Who sits at the console: one-time links, an identity provider, and the session that either gives."""
