"""What is said of it, in words; nothing is decided here."""
