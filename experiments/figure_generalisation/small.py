"""Quality against views and acceleration on a few slices at 128 x 128, one bundled prior for every mask."""

from configs import default
from experiments.small import body, brain


def get_config():
    """One sweep for CT, one for MRI."""
    config = default.get_config()
    config.parts.ct, config.parts.mri = body(), brain()
    config.parts.ct.operator.full_views = 180
    config.parts.ct.sweep.over = "method=direct,tv,scoreinv; views=10,23,45,90"
    config.parts.mri.operator.center_fraction = 0.02
    config.parts.mri.sweep.over = "method=direct,tv,scoreinv; acceleration=4,8,12,24"
    for part in config.parts.values():
        part.evaluate.slices = 2
        part.sampler.samples = 1
    return config
