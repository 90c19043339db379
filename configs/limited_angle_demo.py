"""Two real CT slices at 128 x 128 from 64 views over 90 of 180 degrees."""

from configs import ct_demo


def get_config():
    """As `ct_demo`; what a missing wedge needs, the sampler sees in the views."""
    config = ct_demo.get_config()
    config.images = ("head-ct", "spine-ct")
    config.operator.size = 128
    config.operator.mask = "limited_angle"
    config.operator.degrees = 90.0
    config.operator.views = (64,)
    config.interval.update({"steps": 49, "sigma_max": 3.0})
    return config
