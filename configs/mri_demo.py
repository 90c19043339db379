"""A real brain MRI slice from 4x and 8x equispaced Cartesian k-space."""

from configs import default


def get_config():
    """The MRI half of the demo."""
    config = default.get_config()
    config.images = ("brain-mri",)
    config.prior = "brain-mri"
    config.operator.acceleration = (4.0, 8.0)
    config.operator.noise_std = 0.03
    config.baseline_settings.tv.lam = 0.01
    return config
