"""Two titanium screws in a real vertebra, scanned with all 180 views and with 23 of them."""

from configs import ct_demo


def get_config():
    """Metal artifact removal on pydicom's spine slice."""
    config = ct_demo.get_config()
    config.images = ("spine-ct",)
    config.operator.modality = "mar"
    config.operator.views = (180, 23)
    config.operator.full_views = 180
    config.operator.noise_std = 0.0
    config.operator.metal = "screws"
    config.operator.metal_material = "titanium"
    config.operator.metal_size = 40.0
    config.operator.metal_centre = (0.0, 4.0)
    config.operator.field_of_view = 84.7  # 128 pixels of 0.66 mm
    config.baselines = ("li", "nmar", "tv")
    config.sampler.start = "nmar"
    config.sampler.steps = 24
    config.sampler.sigma_max = 0.5
    config.sampler.samples = 4
    config.sampler.settings = "churn=0.3, momentum=0.5"
    return config
