"""The fast form of an experiment: the same code on phantoms with an untrained network. Its figures mean nothing."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from configs import default
from scoreinv import build
from scoreinv.formats.prior_file import save_prior
from scoreinv.models.unrolled import UnrolledNetwork
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.operators.mri import FourierTransform
from scoreinv.simulation.phantoms import random_ellipses

SIDE, SLICES = 32, 3
SUBJECTS = {"validation": ("sub-0",), "test": ("sub-1", "sub-2")}


def write_phantoms(folder: Path) -> Path:
    """A folder with one volume of random ellipses for each subject."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        keys = jax.random.split(jax.random.key(number), SLICES)
        volume = np.stack([np.asarray(random_ellipses(key, (2 * SIDE, 2 * SIDE)))[..., 0] for key in keys])
        np.save(folder / f"sub-{number}.npy", volume)
    return folder


def write_prior(path: Path) -> Path:
    """A prior file of a small network as initialised."""
    config = default.get_config()
    config.data.size = SIDE
    config.model.update({"nf": 8, "ch_mult": (1,), "patch_size": 2, "image_size": SIDE})
    model = build.model(config.model)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 1)), jnp.ones(1))["params"]
    save_prior(path, params, build.prior_metadata(config))
    return path


def write_unrolled(path: Path) -> Path:
    """A file of a small unrolled network as initialised; it takes any operator."""
    fields = {"cascades": 1, "features": 4, "levels": 1}
    network = UnrolledNetwork(**fields)
    operator = LinearOperator(jnp.ones((SIDE, SIDE)), FourierTransform())
    measurement = simulate(jax.random.key(0), operator, jnp.zeros((SIDE, SIDE, 1)), 0.0)
    save_prior(path, jax.jit(network.init)(jax.random.key(0), measurement)["params"], {"unrolled": fields})
    return path


def shrink(config, folder: Path):
    """Turns a configuration, in place, into one of seconds: phantoms and the prior in `folder`, few calls, few slices.

    Args:
        config: any configuration; its parts are shrunk too.
        folder: holds `volumes` and the networks; they are written if missing.

    Returns:
        The configuration.
    """
    if not (folder / "prior.safetensors").exists():
        write_phantoms(folder / "volumes")
        write_prior(folder / "prior.safetensors")
        write_unrolled(folder / "unrolled.safetensors")
    for part in config.parts.values():
        shrink(part, folder)
    config.prior = str(folder / "prior.safetensors")
    config.data.update({"folders": (str(folder / "volumes"),), "packed": "", "size": SIDE, "intensity": "none"})
    config.data.update({"subject_pattern": r"(sub-\d+)", "validation_fraction": 0.0, "test_fraction": 0.0})
    config.data.update({"validation_subjects": SUBJECTS["validation"], "test_subjects": SUBJECTS["test"]})
    config.operator.full_views = config.operator.full_views and 96
    config.sampler.update({"calls": 5, "samples": min(2, config.sampler.samples)})
    config.interval.update({"draws": 2, "steps": 3})
    for fields in config.methods.values():
        fields.update({"calls": 5})
    for settings in config.baseline_settings.values():
        settings.iterations = 3
    for name in config.supervised:
        config.supervised[name] = str(folder / "unrolled.safetensors")
    config.sweep.over = "; ".join(map(_shortened, filter(None, config.sweep.over.split(";"))))
    config.evaluate.update({"slices": 2, "tuned_slices": 2})
    config.evaluate.tuned = "; ".join(
        axis.rpartition(",")[0] for axis in filter(None, config.evaluate.tuned.split(";"))
    )
    config.tune.update({"trials": 2, "slices": 2})
    return config


def _shortened(axis: str) -> str:
    """An axis of a sweep; of methods, which each need a program of their own, and of calls, the first four."""
    name, _, values = (part.strip() for part in axis.partition("="))
    count = {"method": 4, "calls": 4}.get(name)
    return f"{name}={','.join(values.split(',')[:count])}"
