"""Statistics behind gates and guards: pure functions of arrays, each with its formula and reference."""
