"""Training: batches, losses and gradients, the adversaries, and the net that runs the epochs."""
