"""What the small experiments share: bundled priors, the splits they were trained with, a few test slices."""

from configs import ct_demo, mri_demo, train_body_ct, train_brain_mri

SLICES = 4


def brain():
    """Brain MRI: noise 0.03 in k-space, slices and splits of `configs/train_brain_mri.py`."""
    return _small(mri_demo.get_config(), train_brain_mri.get_config())


def body(demo=ct_demo):
    """Body CT as in a demo: noise 0.2 in the sinogram, slices and splits of `configs/train_body_ct.py`."""
    return _small(demo.get_config(), train_body_ct.get_config())


def _small(config, training):
    config.data.update(training.data)
    config.operator.oversample = 2
    config.sampler.samples = 2
    config.evaluate.slices = SLICES
    return config


def short(settings: str, **fields):
    """A sampler of the paper cut to a few calls: from the classical image at a lower first noise level."""
    return {"settings": settings, "grid": "geometric", "sigma_max": 1.0, "samples": 1, "calls": 40} | fields
