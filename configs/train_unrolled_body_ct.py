"""A supervised network for CT from 23 views, to compare the prior's generality with. Needs config.data.folders."""

from configs import ct_demo, train_body_ct


def get_config():
    """The operator and noise of the demo, the slices of the bundled CT prior; for --mode=unroll."""
    config = ct_demo.get_config()
    config.data.update(train_body_ct.get_config().data)
    return config
