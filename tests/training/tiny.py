"""A training of seconds on phantoms, as a configuration file."""

from configs import default

FIELDS = {
    "data.source": "phantom",
    "data.phantoms": 4,
    "data.intensity": "none",
    "data.size": 32,
    "data.packed_size": 32,
    "data.crop": 16,
    "data.views": 2,
    "data.threads": 2,
    "data.validation_subjects": ("phantom-1",),
    "data.validation_fraction": 0.0,
    "data.test_fraction": 0.0,
    "model.nf": 4,
    "model.ch_mult": (1,),
    "model.patch_size": 2,
    "model.image_size": 32,
    "train.steps": 4,
    "train.batch_size": 4,
    "train.warmup": 1,
    "train.decay": "none",
    "train.checkpoint_every": 2,
    "train.log_every": 1,
    "train.sample_every": 0,
    "train.validation_images": 2,
    "train.validation_sigmas": (0.1,),
}


def get_config():
    """The default with these fields."""
    config = default.get_config()
    config.update_from_flattened_dict(FIELDS)
    return config
