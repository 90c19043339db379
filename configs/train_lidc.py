"""The paper's LIDC prior (Song et al. 2022), but split by subject. Needs config.data.folders."""

from configs import default


def get_config():
    """Chest CT at 320 x 320."""
    config = default.get_config()
    config.data.source = "lidc"
    config.data.intensity = "min_max"
    config.data.update({"size": 320, "packed_size": 320, "crop": 320, "on_device": False})
    config.data.update({"zoom": (1.0, 1.0), "rotation": 0.0, "flip": False})
    config.model.update({"parameterization": "score", "nf": 32, "ch_mult": (1, 1, 2, 2, 2, 2, 2), "num_res_blocks": 2})
    config.model.update({"attn_resolutions": (20,), "image_size": 320, "patch_size": 1, "fourier_scale": 16.0})
    config.sde.update({"sigma_min": 0.01, "sigma_max": 128.0})
    config.train.update({"steps": 2_400_000, "batch_size": 64, "learning_rate": 2e-4, "warmup": 5000, "decay": "none"})
    config.train.update({"adam_beta2": 0.999, "ema": 0.999, "checkpoint_every": 10_000, "sample_every": 50_000})
    return config
