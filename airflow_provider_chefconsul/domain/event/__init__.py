"""What watchers tell of: new generations, and tiers that have converged."""
