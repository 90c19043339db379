"""A real CT slice of 128 x 128 pixels about a vertebra, from 23 views."""

from configs import default


def get_config():
    """Sparse-view CT; `head_ct_demo` has a slice of 512 x 512."""
    config = default.get_config()
    config.images = ("spine-ct",)
    config.prior = "body-ct"
    config.operator.modality = "ct"
    config.operator.mask = "sparse_view"
    config.operator.views = (23,)
    config.operator.noise_std = 0.2
    config.interval.contrast = 0.05
    config.baseline_settings.tv.lam = 3e-4
    config.baseline_settings.wavelet.lam = 1e-4
    config.data.intensity = "ct_window"
    return config
