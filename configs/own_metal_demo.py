"""CT slices that hold metal already: --config.images="('slice.dcm',)"."""

from configs import mar_demo


def get_config():
    """The slice is projected, the rays through its metal are left out, and what is behind them is reconstructed."""
    config = mar_demo.get_config()
    config.operator.metal = "own"
    config.operator.metal_threshold = 2200.0
    config.operator.views = (180,)
    config.operator.noise_std = 0.1
    return config
