"""What the small experiments share: bundled priors, the splits they were trained with, a few test slices."""

from configs import ct_demo, mri_demo, train_body_ct, train_brain_mri

SLICES = 28  # two of each test subject of brain MRI; of body CT all subjects, too
# The grids that the classical methods' weights are chosen from, on validation slices, for each measurement.
TUNED = {
    "mri": "tv.lam=0.0003,0.001,0.003,0.01,0.03; wavelet.lam=0.0001,0.0003,0.001,0.003,0.01",
    "ct": "tv.lam=0.00001,0.00003,0.0001,0.0003,0.001; wavelet.lam=0.00001,0.00003,0.0001,0.0003,0.001",
}


def brain():
    """Brain MRI: noise 0.03 in k-space, slices and splits of `configs/train_brain_mri.py`."""
    return _small(mri_demo.get_config(), train_brain_mri.get_config())


def body(demo=ct_demo):
    """Body CT as in a demo: noise 0.2 in the sinogram, slices and splits of `configs/train_body_ct.py`."""
    return _small(demo.get_config(), train_body_ct.get_config())


def _small(config, training):
    config.data.update(training.data)
    config.operator.oversample = 2
    config.sampler.samples = 4
    config.methods.one_draw = {"samples": 1}
    config.evaluate.update({"slices": SLICES, "tuned": TUNED[config.operator.modality], "tuned_slices": 12})
    return config


def short(settings: str, **fields):
    """A sampler of the paper cut to a few calls: from the classical image at a lower first noise level."""
    return {"settings": settings, "grid": "geometric", "sigma_max": 1.0, "samples": 1, "calls": 40} | fields
