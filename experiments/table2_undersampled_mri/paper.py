"""Table 2 at the scale of the paper: BraTS, 24x, 8x and 4x. Needs the prior and the data, see README.md."""

from configs import default
from experiments.paper import brats

# acceleration -> fraction of the lines measured around the centre, as published
ACCELERATIONS = {24: 0.01, 8: 0.03, 4: 0.06}


def get_config():
    """The three columns of the table."""
    config = default.get_config()
    for acceleration, center_fraction in ACCELERATIONS.items():
        config.parts[f"{acceleration}x"] = part = brats.get_config()
        part.operator.update({"acceleration": (float(acceleration),), "center_fraction": center_fraction})
        part.evaluate.methods = ("direct", "tv", "score_sde", "langevin", "song2022", "scoreinv")
        part.evaluate.slices = 100
    return config
