"""A supervised network for 8x brain MRI, to compare the prior's generality with. Needs config.data.folders."""

from configs import mri_demo, train_brain_mri


def get_config():
    """The operator and noise of the demo at 8x, the slices of the bundled brain prior; for --mode=unroll."""
    config = mri_demo.get_config()
    config.data.update(train_brain_mri.get_config().data)
    config.operator.acceleration = (8.0,)
    return config
