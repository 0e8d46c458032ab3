"""What a write of desired states means for a tier, decided before anything is written."""
