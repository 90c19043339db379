"""Quality against lambda for four accelerations on a few slices at 128 x 128 with the bundled brain prior."""

from experiments.small import brain, short


def get_config():
    """Noisy k-space, where a lambda below 1 pays; one compiled program for all of it."""
    config = brain()
    config.operator.center_fraction = 0.02
    config.methods.song2022 = short("snr=0.517", calls=20)
    config.sweep.over = "method=song2022; lam=0.2,0.4,0.6,0.8,1.0; acceleration=4,8,12,24"
    config.evaluate.slices = 8
    return config
