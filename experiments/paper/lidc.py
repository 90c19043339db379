"""LIDC CT at 320 x 320, 23 of 320 views: the paper's network, training and sampler."""

from experiments.paper.common import published, published_methods


def get_config():
    """`--mode=train` makes its prior; put `--config.prior` to that work directory afterwards."""
    model = {"nf": 32, "ch_mult": (1, 1, 2, 2, 2, 2, 2), "num_res_blocks": 2, "attn_resolutions": (20,)}
    config = published(320, 128.0, model)
    config.data.update({"intensity": "min_max", "min_foreground": 0.0})
    config.prior = "runs/lidc"
    config.operator.update({"modality": "ct", "mask": "sparse_view", "views": (23,)})
    config.methods.update(published_methods("lidc_sparse_ct"))
    return config
