"""Two real CT slices from 64 views over 90 of 180 degrees."""

from configs import ct_demo


def get_config():
    """As `ct_demo`; a missing wedge is filled from a higher noise level, and with momentum."""
    config = ct_demo.get_config()
    config.operator.mask = "limited_angle"
    config.operator.degrees = 90.0
    config.operator.views = (64,)
    config.sampler.steps = 49
    config.sampler.sigma_max = 3.0
    config.sampler.settings = "churn=0.3, momentum=0.8"
    return config
