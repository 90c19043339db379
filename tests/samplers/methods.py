"""The table of all methods under test: a new method is one row here and inherits every test."""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from scoreinv.samplers import (
    ald_proximal,
    daps,
    ddnm,
    dds,
    dds_dual,
    diffpir,
    dpir,
    dps,
    langevin,
    mcg,
    pigdm,
    red_diff,
    score_sde,
    song2022,
    split_gibbs,
)
from scoreinv.samplers.times import geometric_times


class Row(NamedTuple):
    """A method, its module, the settings that are data, those that are structure, and its time grid."""

    method: Callable[..., Any]
    module: Any
    settings: dict[str, float]
    structure: Mapping[str, Any] = MappingProxyType({})
    steps: int = 400
    sigma_min: float = 0.01
    sigma_max: float = 10.0


METHODS = {
    "song2022": Row(song2022.song2022, song2022, {"snr": 0.16, "lam": 1.0}),
    "ald_proximal": Row(ald_proximal.ald_proximal, ald_proximal, {"snr": 0.2, "lam": 1.0}),
    "song2022_follow_noise": Row(song2022.song2022, song2022, {"snr": 0.16, "lam": 1.0}, {"follow_noise": True}),
    "song2022_predictor_only": Row(
        song2022.song2022, song2022, {"lam": 1.0}, {"snr": 0.0, "follow_noise": True, "corrector_steps": 0}
    ),
    "ald_proximal_follow_noise": Row(
        ald_proximal.ald_proximal, ald_proximal, {"snr": 0.2, "lam": 1.0}, {"follow_noise": True}
    ),
    "score_sde": Row(score_sde.score_sde, score_sde, {"snr": 0.16, "gamma": 1.0}),
    "score_sde_pseudo_inverse": Row(
        score_sde.score_sde, score_sde, {"snr": 0.16, "gamma": 1.0}, {"pseudo_inverse": True}
    ),
    "langevin": Row(langevin.langevin, langevin, {"snr": 0.2, "gamma": 0.7}),
    "dps": Row(dps.dps, dps, {"zeta": 1.0, "eta": 1.0}),
    "mcg": Row(mcg.mcg, mcg, {"zeta": 1.0, "eta": 1.0}),
    "pigdm": Row(pigdm.pigdm, pigdm, {"eta": 1.0, "data_std": 0.5}),
    "ddnm": Row(ddnm.ddnm, ddnm, {"eta": 1.0, "lam": 1.0}),
    "dds": Row(dds.dds, dds, {"eta": 0.85, "gamma": 5.0}),
    "dds_dual": Row(dds_dual.dds_dual, dds_dual, {"eta": 0.85, "gamma": 5.0, "memory": 1.0}),
    "diffpir": Row(diffpir.diffpir, diffpir, {"zeta": 0.3, "lam": 1.0}),
    "dpir": Row(dpir.dpir, dpir, {"churn": 1.0, "momentum": 0.3, "lam": 0.3}),
    "red_diff": Row(red_diff.red_diff, red_diff, {"lam": 0.25, "learning_rate": 0.1}),
    "daps": Row(daps.daps, daps, {"langevin_rate": 0.5}, {"langevin_steps": 20}, steps=50),
    "daps_mean": Row(daps.daps, daps, {"langevin_rate": 0.5}, {"langevin_steps": 20, "ode_steps": 1}, steps=50),
    "split_gibbs": Row(split_gibbs.split_gibbs, split_gibbs, {"sigma_min": 0.01}, {"prior_steps": 50}, 100, 0.05, 1.0),
}
TRACES: Counter = Counter()


@cache
def runner(name):
    """The compiled method, (prior, times, settings, keys [N], measurements [N]) -> images [N, H, W, C]."""
    row = METHODS[name]

    def batch(prior, times, settings, keys, measurements):
        TRACES[name] += 1
        reconstruct = row.method(prior, times=times, **settings, **row.structure)
        return jax.vmap(reconstruct)(keys, measurements)

    return jax.jit(batch)


def draw(name, prior, measurement, seed=0, count=8, steps=0, **changes):
    """`count` images by one method, for one measurement or a batch of `count`, in the row's steps or in `steps`."""
    row = METHODS[name]
    settings = {k: jnp.float32(v) for k, v in (row.settings | changes).items()}
    times = geometric_times(prior.sde, jnp.int32(steps or row.steps), row.sigma_min, row.sigma_max)
    if measurement.noise_std.ndim == 0:
        measurement = jax.tree.map(lambda a: jnp.broadcast_to(a, (count, *a.shape)), measurement)
    keys = jax.random.split(jax.random.key(seed), count)
    return runner(name)(prior, times, settings, keys, measurement)


def calls(name, steps):
    """What the module says the method costs."""
    module = METHODS[name].module
    structure = METHODS[name].structure
    known = inspect.signature(module.network_calls).parameters
    return partial(module.network_calls, steps)(**{k: v for k, v in structure.items() if k in known})
