"""The demo: what `python main.py` runs without arguments."""

from configs import ct_demo, default, mri_demo


def get_config():
    """Both halves of the demo; --config.parts.mri.<field>=... overrides one of them."""
    config = default.get_config()
    config.parts.mri = mri_demo.get_config()
    config.parts.ct = ct_demo.get_config()
    return config
