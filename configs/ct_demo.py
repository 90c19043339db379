"""Two real CT slices from 23 views."""

from configs import default


def get_config():
    """The CT half of the demo."""
    config = default.get_config()
    config.images = ("head-ct", "spine-ct")
    config.prior = "body-ct"
    config.operator.modality = "ct"
    config.operator.mask = "sparse_view"
    config.operator.views = (23,)
    config.operator.noise_std = 0.2
    config.baseline_settings.tv.lam = 3e-4
    config.baseline_settings.wavelet.lam = 1e-4
    config.data.intensity = "ct_window"
    return config
