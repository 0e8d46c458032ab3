"""What there is: the documents of the shared data view, names, and who belongs to a tier."""
