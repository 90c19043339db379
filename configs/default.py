"""Every field of every run, with its default. Other files in this folder override a few of them.

The fields, what they may hold, what they mean and which modes read them: `scoreinv/build/fields.py`, printed by
`python main.py --help-fields`.
"""

from ml_collections import ConfigDict

from scoreinv.build.fields import default_config


def get_config() -> ConfigDict:
    """The default configuration: reconstruction of one image with the bundled brain prior."""
    return default_config()


def published(source, intensity, side):
    """The default with what the paper's priors (Song et al. 2022) share: whole images of one side, none augmented."""
    config = get_config()
    config.data.update({"source": source, "intensity": intensity, "size": side, "packed_size": side, "crop": side})
    config.data.update({"on_device": False, "zoom": (1.0, 1.0), "rotation": 0.0, "flip": False})
    config.model.update({"parameterization": "score", "image_size": side, "patch_size": 1, "fourier_scale": 16.0})
    config.train.update({"steps": 2_400_000, "learning_rate": 2e-4, "warmup": 5000, "decay": "none"})
    config.train.update({"adam_beta2": 0.999, "checkpoint_every": 10_000, "sample_every": 50_000})
    return config
