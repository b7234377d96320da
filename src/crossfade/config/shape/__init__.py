"""The shape of the config's larger sections."""
