"""The faces of the simulated clouds: each speaks one service's wire form."""
