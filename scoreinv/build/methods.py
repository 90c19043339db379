"""Configuration to reconstruction methods: samplers, baselines and supervised networks."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from scoreinv.baselines.cgls import cgls
from scoreinv.baselines.direct import direct
from scoreinv.baselines.fbp_hann import fbp_hann
from scoreinv.baselines.li import li
from scoreinv.baselines.nmar import nmar, nmar_start
from scoreinv.baselines.sirt import sirt
from scoreinv.baselines.tv import tv, tv_start
from scoreinv.baselines.wavelet import wavelet
from scoreinv.build.defaults import Defaults, default_settings, noise_in_image, widest_gap
from scoreinv.build.names import choose
from scoreinv.formats.prior_file import read_prior
from scoreinv.models.unrolled import UnrolledNetwork
from scoreinv.operators import ct, mri
from scoreinv.operators.base import LinearOperator, Measurement, Transform
from scoreinv.prior import Prior, cycle_spinning
from scoreinv.samplers.ald_proximal import ald_proximal
from scoreinv.samplers.base import Reconstruct
from scoreinv.samplers.calls import count_network_calls
from scoreinv.samplers.conditioning import pseudo_inverse_start, zero_start
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
from scoreinv.samplers.predictors import Predictor, ancestral, ddim, euler_maruyama, reverse_diffusion
from scoreinv.samplers.presets import preset
from scoreinv.samplers.red_diff import red_diff
from scoreinv.samplers.score_sde import score_sde
from scoreinv.samplers.solvers import dpm_solver_2m, heun, probability_flow
from scoreinv.samplers.song2022 import song2022
from scoreinv.samplers.split_gibbs import split_gibbs
from scoreinv.samplers.times import LONGEST, geometric_times, karras_times, linear_times
from scoreinv.samplers.unconditional import unconditional
from scoreinv.sde import VESDE

# A method and values of the settings that it has no default for.
SAMPLERS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "ald_proximal": (ald_proximal, {"snr": 0.386, "lam": 1.0}),
    "daps": (daps, {}),
    "ddnm": (ddnm, {}),
    "dds": (dds, {"eta": 0.85}),
    "dds_dual": (dds_dual, {"eta": 0.85}),
    "diffpir": (diffpir, {}),
    "dpir": (dpir, {"churn": 0.5}),
    "dps": (dps, {}),
    "langevin": (langevin, {"snr": 0.212, "gamma": 0.713}),
    "mcg": (mcg, {}),
    "pigdm": (pigdm, {}),
    "posterior_langevin": (posterior_langevin, {}),
    "red_diff": (red_diff, {}),
    "score_sde": (score_sde, {"snr": 0.246, "gamma": 1.231}),
    "song2022": (song2022, {"snr": 0.246, "lam": 0.841}),
    "split_gibbs": (split_gibbs, {}),
    "unconditional": (unconditional, {}),
}
PREDICTORS: dict[str, Predictor] = {
    "ancestral": ancestral,
    "ddim": partial(ddim, eta=0.0),
    "dpm_solver_2m": dpm_solver_2m,
    "euler_maruyama": euler_maruyama,
    "heun": heun,
    "probability_flow": probability_flow,
    "reverse_diffusion": reverse_diffusion,
}
STARTS = {"nmar": nmar_start, "pseudo_inverse": pseudo_inverse_start, "tv": tv_start, "zero": zero_start}
TIME_GRIDS = {"geometric": geometric_times, "karras": karras_times, "linear": linear_times}
BASELINES = {
    "cgls": cgls,
    "direct": direct,
    "fbp_hann": fbp_hann,
    "li": li,
    "nmar": nmar,
    "sirt": sirt,
    "tv": tv,
    "wavelet": wavelet,
}


def sampler_settings(method: Callable[..., Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of a method with its default: bool and int are structure, float is data."""
    parameters = inspect.signature(method).parameters.values()
    settings = {p.name: defaults.get(p.name, p.default) for p in parameters}
    return {name: value for name, value in settings.items() if isinstance(value, bool | int | float)}


def _parse_settings(text: str, known: Mapping[str, Any], method: str) -> dict[str, Any]:
    """The values in "name=value, name=value", each of the type that `known` has."""
    parsed = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (part.strip() for part in item.partition("="))
        if name not in known:
            raise ValueError(
                f"sampler.settings: {name!r} is no setting of {method}; it takes {', '.join(sorted(known))}"
            )
        try:
            parsed[name] = (
                {"True": True, "False": False}[value] if isinstance(known[name], bool) else type(known[name])(value)
            )
            if not math.isfinite(parsed[name]):
                raise ValueError
        except (KeyError, ValueError) as error:
            kind = type(known[name]).__name__
            raise ValueError(
                f"sampler.settings: {item!r} needs a finite value of type {kind}, as in {name}={known[name]}"
            ) from error
    return parsed


def with_preset(config):
    """A `config.sampler` section with the published method, settings and time grid of its preset, if it names one.

    `config.settings` come after those of the preset and so win over them.
    """
    if not config.preset:
        return config
    method, settings, levels = preset(config.preset)
    text = ", ".join([*(f"{k}={v}" for k, v in settings.items()), *filter(None, [config.settings])])
    return type(config)(
        {**config, "method": method, "settings": text, "grid": "linear", "start": "zero", "spin": 1, **levels}
    )


def _predictor(config, method: Callable[..., Any]) -> dict[str, Predictor]:
    """{"predictor": ...} for a method that takes one, else nothing."""
    takes_one = "predictor" in inspect.signature(method).parameters
    if not config.predictor:
        return {}
    chosen = choose(PREDICTORS, config.predictor, "sampler.predictor")
    if not takes_one:
        takers = sorted(n for n, (m, _) in SAMPLERS.items() if "predictor" in inspect.signature(m).parameters)
        raise ValueError(
            f"sampler.predictor={config.predictor}, but {config.method} has a step of its own; leave it empty, or "
            f"choose sampler.method from {', '.join(takers)}"
        )
    return {"predictor": chosen}


@dataclass(frozen=True)
class Sampler:
    """A published method with its structure: all that another compiled program is needed for, and nothing else.

    Called inside the program as `sampler(prior, settings)` with what is data (lam, snr, eta, the noise levels, the
    number of steps). Where several programs draw from one measurement, `settings["first"]` may be the image that
    `start` makes of it, so that none of them makes it again.
    """

    method: Callable[..., Any]
    grid: Callable[..., Any]
    start: Callable[..., Any]
    spin: int
    structure: tuple[tuple[str, Any], ...]

    def __call__(self, prior: Prior, settings: Mapping[str, Any]) -> Reconstruct:
        prior = cycle_spinning(prior, self.spin) if self.spin > 1 else prior
        times = self.grid(prior.sde, settings["steps"], **settings["levels"])
        start = (lambda measurement: settings["first"]) if "first" in settings else self.start
        return self.method(prior, times=times, start=start, **dict(self.structure), **settings["method"])


@dataclass(frozen=True)
class Baseline:
    """A classical method with its structure; called like a `Sampler`, but it looks at no prior."""

    method: Callable[..., Any]
    structure: tuple[tuple[str, int], ...]

    def __call__(self, prior: Prior, settings: Mapping[str, Any]) -> Reconstruct:
        return self.method(**dict(self.structure), **settings["method"])


def _split(settings: Mapping[str, Any]) -> tuple[tuple[tuple[str, Any], ...], dict[str, Any]]:
    """(structure, data) of a method's settings."""
    structure = tuple((name, value) for name, value in settings.items() if isinstance(value, int))
    return structure, {name: jnp.float32(value) for name, value in settings.items() if isinstance(value, float)}


def with_defaults(config, measurement: Measurement | None):
    """A `config.sampler` section with what it leaves open: for the default method derived from the measurement."""
    if all(config[name] for name in Defaults._fields):
        return config
    derived = Defaults()
    if config.method == "dpir":
        told = (noise_in_image(measurement), widest_gap(measurement.operator)) if measurement else (0.0,)
        derived = default_settings(*told)
    return type(config)({**config, **{k: v for k, v in derived._asdict().items() if not config[k]}})


def sampler(config, measurement: Measurement | None = None) -> tuple[Sampler, dict[str, Any]]:
    """The conditional sampler of a `config.sampler` section.

    Args:
        config: the section.
        measurement: what it is meant for, of which only operator, noise and shapes count; None: noise-free data.

    Returns:
        (make, settings): `make(prior, settings)` is the method inside a compiled function, to which `settings`
        (lam, snr, eta, the grid's noise levels and steps, ...) come as an argument, so that other values of them
        compile nothing.
    """
    config = with_defaults(with_preset(config), measurement)
    method, defaults = choose(SAMPLERS, config.method, "sampler.method")
    chosen = sampler_settings(method, defaults)
    chosen |= _parse_settings(config.settings, chosen, config.method)
    structure, data = _split(chosen)
    grid = choose(TIME_GRIDS, config.grid, "sampler.grid")
    start = choose(STARTS, config.start, "sampler.start")
    if config.steps > LONGEST:
        raise ValueError(f"sampler.steps={config.steps}; a time grid takes at most {LONGEST}")
    if config.steps < 1 or config.samples < 1 or not 0 < config.sigma_min < config.sigma_max:
        raise ValueError(
            f"sampler.steps={config.steps}, samples={config.samples}, sigma_min={config.sigma_min}, "
            f"sigma_max={config.sigma_max}; give positive numbers with sigma_min < sigma_max"
        )
    structure = (*structure, *_predictor(config, method).items())
    make = Sampler(method, grid, start, config.spin, structure)
    steps = _steps_within(config.calls, make, tuple(data)) if config.calls else config.steps
    levels = {name: jnp.float32(config[name]) for name in ("sigma_min", "sigma_max")}
    return make, {"levels": levels, "steps": jnp.int32(steps), "method": data}


def posterior_sampler(config) -> tuple[Sampler, dict[str, Any]]:
    """The sampler of the posterior that intervals rest on, of `config.interval` and, in all else, `config.sampler`.

    Returns:
        (make, settings), as those of `sampler`.
    """
    own = {"method": "posterior_langevin", "preset": "", "predictor": "", "calls": 0, "grid": "geometric"}
    own |= {"start": "pseudo_inverse", "sigma_min": 0.01}
    section = config.interval
    levels = {"steps": section.steps, "sigma_max": section.sigma_max}
    return sampler(type(config.sampler)({**config.sampler, **own, **levels, "settings": f"temper={section.temper}"}))


def network_calls(make: Sampler, settings: Mapping[str, Any]) -> int:
    """Evaluations of the network that one image takes."""
    one, more = _network_calls(make, tuple(settings["method"]))
    return one + more * (int(settings["steps"]) - 1)


@lru_cache(maxsize=256)
def _network_calls(make: Sampler, names: tuple[str, ...]) -> tuple[int, int]:
    """(calls of one step, of each further one), counted in the programs of a stand-in of 8 x 8 pixels."""
    prior = Prior(VESDE(), lambda x, t: -x, (8, 8, 1))
    transform: Transform = mri.FourierTransform()
    mask, y = jnp.ones((8, 8)), jnp.zeros((8, 8), jnp.complex64)
    if make.start is nmar_start:  # takes sinograms alone
        transform = ct.radon_transform(ct.uniform_angles(4), (8, 8), 8)
        mask, y = jnp.ones((4, 8)), jnp.zeros((4, 8))
    measurement = Measurement(y, LinearOperator(mask, transform), jnp.float32(0))

    def count(steps: int) -> int:
        # An int, which a program shows; of the other settings it holds the names alone.
        levels = {"sigma_min": 0.1, "sigma_max": 1.0}
        settings = {"levels": levels, "steps": steps, "method": dict.fromkeys(names, jnp.float32(0.5))}
        return count_network_calls(lambda prior: make(prior, settings), prior, jax.random.key(0), measurement)

    one, two = count(1), count(2)
    return one, two - one


class TooFewCalls(ValueError):
    """A method's first step takes more network calls than it is allowed."""


def _steps_within(calls: int, make: Sampler, names: tuple[str, ...]) -> int:
    """The most steps whose network calls stay within a number."""
    one, more = _network_calls(make, names)
    if calls < one:
        raise TooFewCalls(f"sampler.calls={calls}, but one step of the method takes {one} network calls; allow more")
    return min(LONGEST, 1 + (calls - one) // more)


@dataclass(frozen=True)
class Unrolled:
    """A supervised network; called like a `Sampler`, with its parameters where that takes the prior."""

    network: UnrolledNetwork

    def __call__(self, params, settings: Mapping[str, Any]) -> Reconstruct:
        def reconstruct(key, measurement):
            return jnp.asarray(self.network.apply({"params": params}, measurement))

        return reconstruct


def unrolled_network(config) -> UnrolledNetwork:
    """The network of a `config.unrolled` section."""
    return UnrolledNetwork(**dict(config))


@lru_cache(maxsize=8)
def load_unrolled(path: str) -> tuple[Unrolled, Any]:
    """(make, parameters) of a file or work directory of `--mode=unroll`.

    Raises:
        ValueError: no such file, or one of something else.
    """
    params, metadata = read_prior(Path(path) / "unrolled.safetensors" if Path(path).is_dir() else Path(path))
    if "unrolled" not in metadata:
        raise ValueError(f"{path!r} holds no unrolled network; train one with --mode=unroll")
    return Unrolled(unrolled_network(metadata["unrolled"])), jax.device_put(params)


def baseline_method(config, name: str) -> tuple[Baseline, dict[str, Any]]:
    """(make, settings) of a classical reconstruction, with its values from `config.baseline_settings`."""
    given = config.baseline_settings.get(name, {})
    chosen = sampler_settings(choose(BASELINES, name, "baseline"), given)
    unknown = sorted(set(given) - set(chosen))
    if unknown:
        takes = ", ".join(sorted(chosen)) or "none"
        raise ValueError(f"baseline_settings.{name}.{unknown[0]} is no setting of the baseline; it takes {takes}")
    structure, data = _split(chosen)
    return Baseline(BASELINES[name], structure), {"method": data}


def baseline(config, name: str) -> Reconstruct:
    """The classical reconstruction `name` with its settings from `config.baseline_settings`."""
    baseline_method(config, name)  # refuses settings that it does not have
    return BASELINES[name](**config.baseline_settings.get(name, {}))
