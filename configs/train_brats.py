"""The paper's BraTS prior (Song et al. 2022), but split by subject. Needs config.data.folders."""

from configs import default


def get_config():
    """Four contrasts at 240 x 240."""
    config = default.published("brats", "mean_std", 240)
    config.model.update({"nf": 32, "ch_mult": (1, 1, 2, 2, 2), "num_res_blocks": 2, "attn_resolutions": (30,)})
    config.sde.update({"sigma_min": 0.01, "sigma_max": 128.0})
    config.train.update({"batch_size": 64, "ema": 0.999})
    return config
