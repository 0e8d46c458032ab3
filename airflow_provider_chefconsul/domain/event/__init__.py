"""Events for watchers: new generations, and tiers that have converged. Internal."""
