"""The paper's LDCT prior (Song et al. 2022), but split by subject. Needs config.data.folders."""

from configs import default


def get_config():
    """Full-dose CT of head, chest and liver at 512 x 512."""
    config = default.get_config()
    config.data.source = "ldct"
    config.data.intensity = "min_max"
    config.data.update({"size": 512, "packed_size": 512, "crop": 512, "on_device": False})
    config.data.update({"zoom": (1.0, 1.0), "rotation": 0.0, "flip": False})
    config.model.update(
        {"parameterization": "score", "nf": 16, "ch_mult": (1, 2, 4, 8, 16, 32, 32), "num_res_blocks": 1}
    )
    config.model.update({"attn_resolutions": (16,), "image_size": 512, "patch_size": 1, "fourier_scale": 16.0})
    config.sde.update({"sigma_min": 0.01, "sigma_max": 220.0})
    config.train.update({"steps": 2_400_000, "batch_size": 16, "learning_rate": 2e-4, "warmup": 5000, "decay": "none"})
    config.train.update({"adam_beta2": 0.999, "ema": 0.9999, "checkpoint_every": 10_000, "sample_every": 50_000})
    return config
