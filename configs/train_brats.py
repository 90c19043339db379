"""The paper's BraTS prior (Song et al. 2022), but split by subject. Needs config.data.folders."""

from configs import default


def get_config():
    """Four contrasts at 240 x 240."""
    config = default.get_config()
    config.data.source = "brats"
    config.data.intensity = "mean_std"
    config.data.update({"size": 240, "packed_size": 240, "crop": 240, "on_device": False})
    config.data.update({"zoom": (1.0, 1.0), "rotation": 0.0, "flip": False})
    config.model.update({"parameterization": "score", "nf": 32, "ch_mult": (1, 1, 2, 2, 2), "num_res_blocks": 2})
    config.model.update({"attn_resolutions": (30,), "image_size": 240, "patch_size": 1, "fourier_scale": 16.0})
    config.sde.update({"sigma_min": 0.01, "sigma_max": 128.0})
    config.train.update({"steps": 2_400_000, "batch_size": 64, "learning_rate": 2e-4, "warmup": 5000, "decay": "none"})
    config.train.update({"adam_beta2": 0.999, "ema": 0.999, "checkpoint_every": 10_000, "sample_every": 50_000})
    return config
