"""Low-dose CT at 512 x 512, 23 of 512 views: the paper's network, training and sampler."""

from experiments.paper.common import published, published_methods


def get_config():
    """`--mode=train` makes its prior; put `--config.prior` to that work directory afterwards."""
    model = {"nf": 16, "ch_mult": (1, 2, 4, 8, 16, 32, 32), "num_res_blocks": 1, "attn_resolutions": (16,)}
    config = published(512, 220.0, model)
    config.train.update({"batch_size": 16, "ema": 0.9999})
    config.data.update({"intensity": "min_max", "min_foreground": 0.0})
    config.prior = "runs/ldct"
    config.operator.update({"modality": "ct", "mask": "sparse_view", "views": (23,)})
    config.methods.update(published_methods("ldct_sparse_ct"))
    return config
