"""A larger brain prior, in ten minutes of one GPU. Needs config.data.folders."""

from configs import train_brain_mri
from configs.train_body_ct_gpu import on_gpu


def get_config():
    """The slices and splits of the bundled brain prior at their own pixels and up to twice coarser."""
    return on_gpu(train_brain_mri.get_config())
