"""The paper's LIDC prior (Song et al. 2022), but split by subject. Needs config.data.folders."""

from configs import default


def get_config():
    """Chest CT at 320 x 320."""
    config = default.published("lidc", "min_max", 320)
    config.model.update({"nf": 32, "ch_mult": (1, 1, 2, 2, 2, 2, 2), "num_res_blocks": 2, "attn_resolutions": (20,)})
    config.sde.update({"sigma_min": 0.01, "sigma_max": 128.0})
    config.train.update({"batch_size": 64, "ema": 0.999})
    return config
