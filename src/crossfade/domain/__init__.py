"""The vocabulary shared by every part of the control plane: frozen values, standard library only."""
