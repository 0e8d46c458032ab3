"""Pure functions and frozen data on the standard library alone; time is a parameter. Internal."""
