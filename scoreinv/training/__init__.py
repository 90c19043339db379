"""Training: one step as a pure function, the loop around it, checkpoints, and what a run shows of itself."""
