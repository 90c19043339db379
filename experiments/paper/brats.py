"""BraTS MRI at 240 x 240, 31 of 240 lines (8x): the paper's network, training and samplers."""

from experiments.paper.common import published, published_methods


def get_config():
    """`--mode=train` makes its prior; put `--config.prior` to that work directory afterwards."""
    model = {"nf": 32, "ch_mult": (1, 1, 2, 2, 2), "num_res_blocks": 2, "attn_resolutions": (30,)}
    config = published(240, 128.0, model)
    config.data.update({"intensity": "mean_std", "min_foreground": 0.02})
    config.prior = "runs/brats"
    config.operator.update({"modality": "mri", "mask": "equispaced", "acceleration": (8.0,), "center_fraction": 0.03})
    config.methods.update(published_methods("brats_mri"))
    return config
