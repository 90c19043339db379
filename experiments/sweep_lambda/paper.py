"""Quality against lambda for four accelerations at the scale of the paper: BraTS, the paper's sampler."""

from experiments.paper import brats


def get_config():
    """Noisy k-space, where a lambda below 1 pays; one compiled program for all of it."""
    config = brats.get_config()
    config.operator.update({"center_fraction": 0.01, "noise_std": 0.03})
    config.sweep.over = "method=song2022; lam=0.2,0.4,0.6,0.8,1.0; acceleration=4,8,12,24"
    config.evaluate.slices = 16
    return config
