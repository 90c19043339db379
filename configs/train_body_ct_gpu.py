"""A larger CT prior, in ten minutes of one GPU. Needs config.data.folders."""

from configs import train_body_ct


def get_config():
    """The slices and splits of the bundled CT prior at their own pixels and up to four times coarser."""
    return on_gpu(train_body_ct.get_config())


def on_gpu(config):
    """The configuration with 9.7 million parameters, crops of 192 x 192 in batches of 96, and ten minutes."""
    # The network runs at half of the image's resolution: 2.5 times the bundled one's work.
    config.model.update({"patch_size": 2, "nf": 64, "ch_mult": (1, 2, 2, 3), "dtype": "bfloat16", "image_size": 256})
    # Views drawn by the step itself, from native pixels to a quarter; so coarse a slice fills half of its view.
    config.data.update({"size": 256, "crop": 192, "packed_size": 512, "views": 0, "zoom": (0.25, 2.0)})
    config.train.update({"seconds": 600.0, "batch_size": 96, "warmup": 200, "ema": 0.995, "log_every": 20})
    # Time alone ends it, and places ten checkpoints.
    config.train.update({"checkpoint_every": 1_000_000, "sample_every": 0, "validation_pixels": (1.0, 2.0)})
    return config
