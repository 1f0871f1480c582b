"""Training of whole networks: recipes, schedules, checkpoints, one process or several."""
