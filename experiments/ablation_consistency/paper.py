"""Four ways to condition one network, 2000 calls each, BraTS at 8x. Needs the prior and the data, see README.md."""

from experiments.paper import brats

METHODS = ("score_sde", "langevin", "ald_proximal", "song2022")


def get_config():
    """The published settings, the number of levels chosen for equal budgets."""
    config = brats.get_config()
    for name in METHODS:
        config.methods[name].calls = 2000
    config.evaluate.methods = METHODS
    config.evaluate.slices = 100
    return config
