"""A real head CT slice at its own 512 x 512, from 92 views."""

from configs import ct_demo


def get_config():
    """As `ct_demo`, at four times its sides.

    A matrix of n x n needs pi / 2 n views; 92 are 1 in 9 of those, as 23 are for 128 x 128. From 23 views a fine matrix
    is not finer: they leave the same frequencies out. The noise is the same fraction of a line integral.
    """
    config = ct_demo.get_config()
    config.images = ("head-ct",)
    config.operator.views = (92,)
    config.operator.noise_std = 0.8
    config.sampler.samples = 2
    return config
