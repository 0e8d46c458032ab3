"""Whether the built wheel installs and runs where others install it: `make compatibility`."""
