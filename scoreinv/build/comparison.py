"""Configuration to the slices of a comparison, and the prior that fits them."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array

from scoreinv import build
from scoreinv.evaluation import metrics
from scoreinv.evaluation.subset import Subset, spread
from scoreinv.prior import Prior, padded

SPLITS = ("test", "validation")
REGIONS: dict[str, Callable[[tuple[int, int]], Array]] = {"all": jnp.ones, "circle": metrics.circular_region}


def choose_slices(config, split: str, count: int) -> Subset:
    """Slices of a split, the same at every call.

    Args:
        config: the configuration; `data` names the files and the image side, `operator.oversample` the finer object.
        split: "test" or "validation".
        count: number of slices, spread over the subjects; 0: all.

    Raises:
        ValueError: no such split, nothing in it, or a negative count.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown evaluate.split {split!r}; choose one of {', '.join(SPLITS)}")
    if count < 0:
        raise ValueError(f"{count} slices; give a number of slices, or 0 for all")
    oversample = max(1, config.operator.oversample)
    every = build.square_slices(config.data, split, config.data.size * oversample)
    seen: dict[tuple[str, int], int] = {}
    names = []
    for item in every:
        seen[item.subject, item.index] = seen.get((item.subject, item.index), -1) + 1
        names.append((item.subject, seen[item.subject, item.index], item.index))
    chosen = spread([item.subject for item in every], count or len(names))
    return Subset(np.stack([every[i].image for i in chosen])[..., None], tuple(names[i] for i in chosen), oversample)


def fitting_prior(config, shape: tuple[int, int, int]) -> Prior:
    """The prior of a configuration, for images of `shape`.

    Raises:
        ValueError: another number of channels than the images have.
    """
    prior = padded(build.load_prior(config.prior, config.sampler.remat))
    prior = build.fit_channels(prior, shape[2], config.sampler.complex_prior)
    if shape[:2] != prior.shape[:2]:
        logging.warning("the prior was trained at %d x %d, the slices are %d x %d", *prior.shape[:2], *shape[:2])
    return prior


def region(name: str) -> Callable[[tuple[int, int]], Array]:
    """Which pixels of an image [H, W] are scored, by name: a function shape -> 1 there."""
    return build.choose(REGIONS, name, "evaluate.region")
