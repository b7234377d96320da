"""How capacity answers load: pure state machines that take the time as an argument."""
