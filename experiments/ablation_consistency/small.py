"""Four ways to condition the same network, 40 calls each, on a few slices at 128 x 128 with the bundled brain prior."""

from experiments.ablation_consistency.paper import METHODS
from experiments.small import brain, short
from scoreinv.samplers.presets import PRESETS


def get_config():
    """The settings published for BraTS, fewer and lower noise levels, equal budgets; 8x."""
    config = brain()
    config.operator.update({"acceleration": (8.0,), "center_fraction": 0.03})
    for name in METHODS:
        settings = PRESETS["brats_mri"][name]
        config.methods[name] = short(", ".join(f"{key}={value}" for key, value in settings.items()))
    config.evaluate.methods = METHODS
    return config
