"""The control plane: measures, decides, publishes."""
