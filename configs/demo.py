"""The demo: what `python main.py` runs without arguments."""

from configs import ct_demo, default, head_ct_demo, mri_demo


def get_config():
    """Three real slices at their own matrix; --config.parts.mri.<field>=... overrides a field of one part.

    At 4x the paper's own sampler stands beside, with its 2000 network calls and the authors' settings for brain MRI.
    """
    config = default.get_config()
    config.parts.mri = mri_demo.get_config()
    config.parts.mri.operator.acceleration = (4.0,)
    config.parts.mri.methods.song2022 = {"preset": "brats_mri", "samples": 1}
    config.parts.mri_8x = mri_demo.get_config()
    config.parts.mri_8x.operator.acceleration = (8.0,)
    config.parts.ct = ct_demo.get_config()
    config.parts.head = head_ct_demo.get_config()
    config.parts.head.interval.draws = 0  # the draws of the posterior would double the minutes of the whole demo
    return config
