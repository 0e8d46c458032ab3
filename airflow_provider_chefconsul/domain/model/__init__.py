"""Documents of the shared data view, names, and the members of a tier. Internal."""
