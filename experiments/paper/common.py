"""What the published trainings share."""

from collections.abc import Mapping
from typing import Any

from configs import default
from scoreinv.samplers.presets import PRESETS


def published(size: int, sigma_max: float, model: Mapping[str, Any]):
    """The published training: VE from 0.01, score matching, Adam 2e-4, no augmentation; whole slices of `size`."""
    config = default.get_config()
    config.model.update({"parameterization": "score", "patch_size": 1, "fourier_scale": 16.0, "image_size": size})
    config.model.update(model)
    config.sde.update({"name": "ve", "sigma_min": 0.01, "sigma_max": sigma_max})
    config.train.update({"steps": 2_400_000, "batch_size": 64, "learning_rate": 2e-4, "warmup": 5000})
    config.train.update({"decay": "none", "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_eps": 1e-8, "clip": 1.0})
    config.train.update({"ema": 0.999, "t_min": 1e-5, "checkpoint_every": 10_000})
    config.data.update({"size": size, "crop": size, "views": 1, "zoom": (1.0, 1.0), "rotation": 0.0})
    config.sampler.update({"samples": 1, "batch_size": 8, "spin": 1})
    return config


def published_methods(task: str) -> dict[str, dict[str, Any]]:
    """The paper's samplers of a task with the settings and noise levels its authors tuned, for `config.methods`."""
    return {method: {"preset": f"{task}/{method}"} for method in PRESETS[task]}
