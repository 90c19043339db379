"""Table 2 on 28 test slices at 128 x 128 with the bundled brain prior."""

from configs import default
from experiments.small import brain
from experiments.table2_undersampled_mri.paper import ACCELERATIONS

# The published 0.01 would leave one centre line of 128, and every method without the width of the head.
CENTER_FRACTIONS = ACCELERATIONS | {24: 0.02}


def get_config():
    """The three columns of the table: noise, a finer object; `song2022`, with 2001 calls, when it is named."""
    config = default.get_config()
    for acceleration, center_fraction in CENTER_FRACTIONS.items():
        config.parts[f"{acceleration}x"] = part = brain()
        part.operator.update({"acceleration": (float(acceleration),), "center_fraction": center_fraction})
        part.methods.song2022 = {"preset": "brats_mri", "samples": 1}
        part.evaluate.methods = ("direct", "wavelet", "tv", "one_draw", "scoreinv")
    return config
