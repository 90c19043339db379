"""The shipped sampler's start, first level and calls against tuned TV on validation slices, at 128 x 128."""

from ml_collections import ConfigDict

from configs import limited_angle_demo
from experiments.small import TUNED, body, brain

SETTINGS = "start=pseudo_inverse,tv; sigma_max=0.1,0.2,0.4,0.8; calls=20,40,80"
NOISE = {"noisy": None, "noise-free": 0.0}


def get_config(sizes: tuple[int, ...] = (128,), slices: int = 12):
    """A part for each task, noisy and noise-free, at each side; single draws."""
    config = brain()
    config.parts = ConfigDict()
    for side in sizes:
        tasks = {
            "mri-4x": (brain(), {"acceleration": (4.0,)}),
            "mri-8x": (brain(), {"acceleration": (8.0,)}),
            # As many views for the side as 23 are for 128.
            "ct-sparse": (body(), {"views": (23 * side // 128,)}),
            "ct-90-degrees": (body(limited_angle_demo), {"views": (side // 2,)}),
        }
        for task, (part, operator) in tasks.items():
            for noise, std in NOISE.items():
                config.parts[f"{task}-{side}-{noise}"] = own = part.copy_and_resolve_references()
                own.operator.update(operator)
                own.operator.noise_std = own.operator.noise_std if std is None else std
                own.data.update({"size": side, "packed_size": 2 * side})
                own.sampler.samples = 1
                weights = TUNED[own.operator.modality].partition(";")[0]
                own.sweep.over = f"method=tv,scoreinv; {weights}; {SETTINGS}"
                own.evaluate.update({"split": "validation", "slices": slices})
    return config
