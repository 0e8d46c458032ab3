"""The domain: pure functions and frozen data, standard library only; time is a parameter."""
