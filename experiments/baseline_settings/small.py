"""Weights and numbers of iterations of the classical methods on validation subjects, for the small experiments."""

from configs import default
from experiments.small import body, brain

# By modality: the grid of each method's one free setting.
GRIDS = {
    "mri": "tv.lam=0.001,0.003,0.01,0.03; wavelet.lam=0.0003,0.001,0.003,0.01; cgls.iterations=2,5,20",
    "ct": "tv.lam=0.0001,0.0003,0.001,0.003; wavelet.lam=0.0001,0.0003,0.001,0.003; cgls.iterations=5,10,20; "
    "sirt.iterations=50,100,300",
}


def get_config(slices: int = 4):
    """A part for each of 4x and 8x MRI and CT from 23 views."""
    config = default.get_config()
    for name, acceleration in {"mri-4x": 4.0, "mri-8x": 8.0, "ct-23-views": 0.0}.items():
        config.parts[name] = part = brain() if acceleration else body()
        if acceleration:
            part.operator.acceleration = (acceleration,)
        modality = part.operator.modality
        methods = ["tv", "wavelet", "cgls", *(["sirt", "fbp_hann"] if modality == "ct" else []), "direct"]
        part.sweep.over = f"method={','.join(methods)}; {GRIDS[modality]}"
        part.evaluate.update({"split": "validation", "slices": slices})
    return config
