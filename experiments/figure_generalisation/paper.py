"""Quality against views and acceleration at the scale of the paper: LIDC and BraTS, one prior for every mask.

`unrolled` is a supervised network trained at 23 views and at 8x: see README.md.
"""

from configs import default
from experiments.paper import brats, lidc


def get_config():
    """One sweep for CT, one for MRI."""
    config = default.get_config()
    config.parts.ct, config.parts.mri = lidc.get_config(), brats.get_config()
    config.parts.ct.operator.full_views = 320
    config.parts.ct.sweep.over = "method=direct,tv,unrolled,song2022,scoreinv; views=10,15,20,23,30,45,60,90"
    config.parts.mri.operator.center_fraction = 0.02
    config.parts.mri.sweep.over = "method=direct,tv,unrolled,song2022,scoreinv; acceleration=4,6,8,12,16,20,24"
    for name, part in config.parts.items():
        part.supervised.unrolled = f"runs/unrolled-{name}"
        part.evaluate.slices = 32
    return config
