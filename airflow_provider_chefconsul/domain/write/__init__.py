"""What a write of desired states does to a tier, planned before it happens. ``StateModel`` is public."""
