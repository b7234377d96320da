"""Business metrics: counted elsewhere, told to the guards by arm."""
