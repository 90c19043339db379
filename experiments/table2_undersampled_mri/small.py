"""Table 2 on a few slices at 128 x 128 with the bundled brain prior."""

from configs import default
from experiments.small import brain, short
from experiments.table2_undersampled_mri.paper import ACCELERATIONS

# The published 0.01 would leave one centre line of 128, and every method without the width of the head.
CENTER_FRACTIONS = ACCELERATIONS | {24: 0.02}


def get_config():
    """The three columns of the table: noise, a finer object."""
    config = default.get_config()
    for acceleration, center_fraction in CENTER_FRACTIONS.items():
        config.parts[f"{acceleration}x"] = part = brain()
        part.operator.update({"acceleration": (float(acceleration),), "center_fraction": center_fraction})
        part.methods.song2022 = short("snr=0.517, lam=1.0")
        part.evaluate.methods = ("direct", "wavelet", "tv", "song2022", "scoreinv")
    return config
