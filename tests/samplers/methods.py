"""The table of all methods under test: a new method is one row here and inherits every test."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from known_posteriors import compile_long

from scoreinv.samplers.ald_proximal import ald_proximal
from scoreinv.samplers.daps import daps
from scoreinv.samplers.ddnm import ddnm
from scoreinv.samplers.dds import dds
from scoreinv.samplers.dds_dual import dds_dual
from scoreinv.samplers.diffpir import diffpir
from scoreinv.samplers.dpir import dpir
from scoreinv.samplers.dps import dps
from scoreinv.samplers.langevin import langevin
from scoreinv.samplers.mcg import mcg
from scoreinv.samplers.pigdm import pigdm
from scoreinv.samplers.posterior_langevin import posterior_langevin
from scoreinv.samplers.red_diff import red_diff
from scoreinv.samplers.score_sde import score_sde
from scoreinv.samplers.song2022 import song2022
from scoreinv.samplers.split_gibbs import split_gibbs
from scoreinv.samplers.times import geometric_times


class Row(NamedTuple):
    """A method, the settings that are data, those that are structure, its network calls and its time grid.

    `calls` are those of a step and those beside the steps; a pass backwards through the network is one more.
    """

    method: Callable[..., Any]
    settings: dict[str, float]
    structure: Mapping[str, Any] = MappingProxyType({})
    calls: tuple[int, int] = (1, 1)
    steps: int = 400
    sigma_min: float = 0.01
    sigma_max: float = 10.0


METHODS = {
    "song2022": Row(song2022, {"snr": 0.16, "lam": 1.0}, calls=(2, 1)),
    "ald_proximal": Row(ald_proximal, {"snr": 0.2, "lam": 1.0}, calls=(3, 1)),
    "song2022_follow_noise": Row(song2022, {"snr": 0.16, "lam": 1.0}, {"follow_noise": True}, calls=(2, 1)),
    "song2022_predictor_only": Row(song2022, {"lam": 1.0}, {"snr": 0.0, "follow_noise": True, "corrector_steps": 0}),
    "ald_proximal_follow_noise": Row(ald_proximal, {"snr": 0.2, "lam": 1.0}, {"follow_noise": True}, (3, 1)),
    "score_sde": Row(score_sde, {"snr": 0.16, "gamma": 1.0}, calls=(2, 1)),
    "score_sde_pseudo_inverse": Row(score_sde, {"snr": 0.16, "gamma": 1.0}, {"pseudo_inverse": True}, (2, 1)),
    "langevin": Row(langevin, {"snr": 0.2, "gamma": 0.7}, calls=(3, 1)),
    "dps": Row(dps, {"zeta": 1.0, "eta": 1.0}, calls=(2, 1)),
    "mcg": Row(mcg, {"zeta": 1.0, "eta": 1.0}, calls=(2, 1)),
    "pigdm": Row(pigdm, {"eta": 1.0, "data_std": 0.5}, calls=(2, 2)),
    "ddnm": Row(ddnm, {"eta": 1.0, "lam": 1.0}),
    "dds": Row(dds, {"eta": 0.85, "gamma": 5.0}),
    "dds_dual": Row(dds_dual, {"eta": 0.85, "gamma": 5.0, "memory": 1.0}),
    "diffpir": Row(diffpir, {"zeta": 0.3, "lam": 1.0}),
    "dpir": Row(dpir, {"churn": 1.0, "momentum": 0.3, "lam": 0.3}),
    "posterior_langevin": Row(posterior_langevin, {"temper": 1.0}, steps=199, sigma_max=1.0),
    "red_diff": Row(red_diff, {"lam": 0.25, "learning_rate": 0.1}, calls=(1, 0)),
    "daps": Row(daps, {"langevin_rate": 0.5}, {"langevin_steps": 20}, calls=(5, 5), steps=50),
    "daps_mean": Row(daps, {"langevin_rate": 0.5}, {"langevin_steps": 20, "ode_steps": 1}, steps=50),
    "split_gibbs": Row(split_gibbs, {"sigma_min": 0.01}, {"prior_steps": 50}, (50, 50), 100, 0.05, 1.0),
}
TRACES: Counter = Counter()


@cache
def runner(name, long):
    """The compiled method, (prior, times, settings, keys [N], measurements [N]) -> images [N, H, W, C]."""
    row = METHODS[name]

    def batch(prior, times, settings, keys, measurements):
        TRACES[name] += 1
        reconstruct = row.method(prior, times=times, **settings, **row.structure)
        return jax.vmap(reconstruct)(keys, measurements)

    return (compile_long if long else jax.jit)(batch)


def draw(name, prior, measurement, seed=0, count=8, steps=0, **changes):
    """`count` images by one method, for one measurement or a batch of `count`, in the row's steps or in `steps`."""
    row = METHODS[name]
    settings = {k: jnp.float32(v) for k, v in (row.settings | changes).items()}
    times = geometric_times(prior.sde, jnp.int32(steps or row.steps), row.sigma_min, row.sigma_max)
    if measurement.noise_std.ndim == 0:
        measurement = jax.tree.map(lambda a: jnp.broadcast_to(a, (count, *a.shape)), measurement)
    keys = jax.random.split(jax.random.key(seed), count)
    return runner(name, not steps)(prior, times, settings, keys, measurement)
