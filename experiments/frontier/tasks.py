"""The four tasks of the frontier: slices, prior and measurement; for `--fast` phantoms and a prior in closed form."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from configs import ct_demo, mri_demo, train_body_ct, train_brain_mri
from scoreinv import build
from scoreinv.data.phantoms import random_ellipses
from scoreinv.data.slices import load_slices
from scoreinv.operators.base import Measurement, simulate
from scoreinv.prior import Prior
from scoreinv.sde import VESDE

# task -> (anatomy, fields of the operator section)
TASKS = {
    "mri-4x": ("mri", {"acceleration": (4.0,)}),
    "mri-8x": ("mri", {"acceleration": (8.0,)}),
    "ct-23-views": ("ct", {"mask": "sparse_view", "views": (23,)}),
    "ct-90-degrees": ("ct", {"mask": "limited_angle", "degrees": 90.0, "views": (64,)}),
}
DEMOS = {"mri": mri_demo, "ct": ct_demo}
TRAINING = {"mri": train_brain_mri, "ct": train_body_ct}


class Problem(NamedTuple):
    """Images of one task and what is measured of them."""

    prior: Prior
    truths: jax.Array  # [N, H, W, C]
    measurements: Measurement  # of N images
    config: object  # the demo's configuration, for its sampler and baselines


def problem(task: str, source: str, split: str, count: int, noise_free: bool = False) -> Problem:
    """A task on `count` slices of a split, spread over its subjects.

    Args:
        task: a name in TASKS.
        source: a packed file (.npz), or folders of volumes separated by commas.
        split: "validation" or "test".
        count: number of slices.
        noise_free: measure without the noise of the demo.

    Returns:
        The problem, on the prior that the demo of this anatomy uses.
    """
    anatomy, operator = TASKS[task]
    config = DEMOS[anatomy].get_config()
    config.operator.update(operator)
    prior = build.load_prior(config.prior)
    truths = jnp.asarray(_slices(anatomy, source, split, count, prior.shape[0]).images)
    return _measured(config, prior, truths, 0.0 if noise_free else config.operator.noise_std)


def subjects(task: str, source: str, split: str, count: int) -> tuple[str, ...]:
    """The subject of each slice of `problem`."""
    return _slices(TASKS[task][0], source, split, count, 16).subjects


def phantom_problem(task: str, count: int, side: int = 32) -> Problem:
    """The same task on random ellipses, under the Gaussian prior of a smooth image, whose score is a formula."""
    anatomy, operator = TASKS[task]
    config = DEMOS[anatomy].get_config()
    config.operator.update(operator)
    truths = jnp.stack([random_ellipses(jax.random.key(i), (side, side)) for i in range(count)])
    return _measured(config, smooth_prior((side, side, 1)), truths, config.operator.noise_std)


def smooth_prior(shape: tuple[int, int, int]) -> Prior:
    """The stationary Gaussian of mean 0.3 whose spectrum falls with the square of the frequency."""
    sde = VESDE(0.002, 20.0)
    frequencies = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in shape[:2]), indexing="ij"))
    variance = jnp.asarray(1.0 / (1 + (20 * frequencies) ** 2), jnp.float32)[..., None]
    return Prior(sde, Partial(_smooth_score, sde, variance), shape)


def _smooth_score(sde, variance, x, t):
    alpha, sigma = sde.marginal_prob(t)
    spectrum = jnp.fft.fft2(x - 0.3 * alpha, axes=(0, 1)) / (alpha**2 * variance + sigma**2)
    return -jnp.fft.ifft2(spectrum, axes=(0, 1)).real


def _slices(anatomy, source, split, count, side):
    """`count` slices: the subjects in turn, from the middle of each outwards."""
    data = TRAINING[anatomy].get_config().data
    data.size = side
    if source.endswith(".npz"):
        data.packed = source
    else:
        data.folders = tuple(str(Path(folder)) for folder in source.split(","))
    slices = load_slices(data, split)
    names = sorted(set(slices.subjects))
    of = {name: [i for i, subject in enumerate(slices.subjects) if subject == name] for name in names}
    middle_first = {name: sorted(ids, key=partial(_distance, np.mean(ids))) for name, ids in of.items()}
    rounds = range(max(map(len, of.values())))
    order = [middle_first[name][i] for i in rounds for name in names if i < len(of[name])][:count]
    if len(order) < count:
        raise ValueError(f"{source} has {len(order)} slices in split {split!r}, {count} are asked for; ask for fewer")
    return type(slices)(slices.images[order], *(tuple(v[i] for i in order) for v in (slices.subjects, slices.indices)))


def _distance(a, b):
    return abs(a - b)


def _measured(config, prior: Prior, truths, noise_std: float) -> Problem:
    (_, operator), *_ = build.operators(config.operator, truths.shape[1:], jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), len(truths))
    measurements = [simulate(key, operator, truth, noise_std) for key, truth in zip(keys, truths, strict=True)]
    return Problem(prior, truths, jax.tree.map(lambda *leaves: jnp.stack(leaves), *measurements), config)
