"""Weights and numbers of iterations of the classical methods on validation subjects: LIDC and BraTS."""

from configs import default
from experiments.baseline_settings.small import GRIDS
from experiments.paper import brats, lidc


def get_config():
    """One part for CT, one for 8x MRI, at the paper's matrices and without noise."""
    config = default.get_config()
    config.parts.ct, config.parts.mri = lidc.get_config(), brats.get_config()
    for name, part in config.parts.items():
        methods = ["tv", "wavelet", "cgls", *(["sirt", "fbp_hann"] if name == "ct" else []), "direct"]
        part.sweep.over = f"method={','.join(methods)}; {GRIDS[name]}"
        part.evaluate.update({"split": "validation", "slices": 16})
    return config
