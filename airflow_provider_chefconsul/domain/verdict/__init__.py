"""Where nodes and tiers stand, and when a wait is over. ``ConvergencePolicy`` is public."""
