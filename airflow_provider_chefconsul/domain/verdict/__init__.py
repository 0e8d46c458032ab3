"""Where nodes and tiers stand, and what a wait comes to."""
