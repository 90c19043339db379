"""The paper's LDCT prior (Song et al. 2022), but split by subject. Needs config.data.folders."""

from configs import default


def get_config():
    """Full-dose CT of head, chest and liver at 512 x 512."""
    config = default.published("ldct", "min_max", 512)
    config.model.update({"nf": 16, "ch_mult": (1, 2, 4, 8, 16, 32, 32), "num_res_blocks": 1, "attn_resolutions": (16,)})
    config.sde.update({"sigma_min": 0.01, "sigma_max": 220.0})
    config.train.update({"batch_size": 16, "ema": 0.9999})
    return config
