"""Quality against views and acceleration on a few slices at 128 x 128, one bundled prior for every mask.

`unrolled` is a supervised network trained at 23 views and at 8x: see README.md.
"""

from configs import default
from experiments.small import body, brain


def get_config():
    """One sweep for CT, one for MRI."""
    config = default.get_config()
    config.parts.ct, config.parts.mri = body(), brain()
    config.parts.ct.operator.full_views = 180
    config.parts.ct.sweep.over = "method=direct,tv,scoreinv,unrolled; views=10,15,23,45,90"
    config.parts.mri.operator.center_fraction = 0.02
    config.parts.mri.sweep.over = "method=direct,tv,scoreinv,unrolled; acceleration=4,6,8,12,24"
    for name, part in config.parts.items():
        part.supervised.unrolled = f"runs/unrolled-{name}-small"
        part.evaluate.slices = 2
        part.sampler.samples = 1
    return config
