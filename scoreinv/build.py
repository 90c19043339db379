"""Configuration to objects: the only tables from names to constructors."""

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scoreinv import losses
from scoreinv.baselines.cgls import cgls
from scoreinv.baselines.direct import direct
from scoreinv.baselines.li import li
from scoreinv.baselines.nmar import nmar, nmar_start
from scoreinv.baselines.sirt import sirt
from scoreinv.baselines.tv import tv
from scoreinv.baselines.wavelet import wavelet
from scoreinv.checkpoints import import_score_sde, read_prior
from scoreinv.data import metal
from scoreinv.data.folders import folder_scans
from scoreinv.data.layouts import brats_scans, ldct_scans, lidc_scans
from scoreinv.data.measurements import read_mask
from scoreinv.data.phantoms import phantom_scans
from scoreinv.data.slices import Source
from scoreinv.models.edm import edm_denoise, edm_score
from scoreinv.models.ncsnpp import NCSNpp
from scoreinv.models.score_sde_import import flatten_config
from scoreinv.models.unrolled import UnrolledNetwork
from scoreinv.operators import ct, mri
from scoreinv.operators.base import Image, LinearOperator, Measurement, block_mean, simulate
from scoreinv.operators.polychromatic import HounsfieldWindow
from scoreinv.prior import Prior, channelwise, cycle_spinning
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
from scoreinv.samplers.predictors import Predictor, ancestral, ddim, euler_maruyama, reverse_diffusion
from scoreinv.samplers.presets import preset
from scoreinv.samplers.red_diff import red_diff
from scoreinv.samplers.score_sde import score_sde
from scoreinv.samplers.solvers import dpm_solver_2m, heun, probability_flow
from scoreinv.samplers.song2022 import song2022
from scoreinv.samplers.split_gibbs import split_gibbs
from scoreinv.samplers.times import geometric_times, karras_times, linear_times
from scoreinv.samplers.unconditional import unconditional
from scoreinv.sde import VESDE, VPSDE, SubVPSDE

SDES = {"ve": VESDE, "vp": VPSDE, "subvp": SubVPSDE}
PARAMETERIZATIONS = ("edm", "score")
DTYPES = {"bfloat16": jnp.bfloat16, "float32": jnp.float32}
WEIGHTS = Path(__file__).parent / "weights"

# A method and values of the settings that it has no default for.
SAMPLERS: dict[str, tuple[Callable, dict[str, Any]]] = {
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
STARTS = {"nmar": nmar_start, "pseudo_inverse": pseudo_inverse_start, "zero": zero_start}
TIME_GRIDS = {"geometric": geometric_times, "karras": karras_times, "linear": linear_times}
BASELINES = {
    "cgls": cgls,
    "direct": direct,
    "li": li,
    "nmar": nmar,
    "sirt": sirt,
    "tv": tv,
    "wavelet": wavelet,
}

SOURCES: dict[str, Source] = {
    "brats": brats_scans,
    "folder": folder_scans,
    "ldct": ldct_scans,
    "lidc": lidc_scans,
    "phantom": phantom_scans,
}


def choose(table: Mapping[str, Any], name: str, what: str) -> Any:
    """table[name], or a ValueError that shows the name and the choices."""
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; choose one of {', '.join(sorted(table))}")
    return table[name]


def sde(config) -> SubVPSDE | VESDE | VPSDE:
    """The SDE of a `config.sde` section."""
    kind = choose(SDES, config["name"], "sde.name")
    fields = ("sigma_min", "sigma_max") if kind is VESDE else ("beta_min", "beta_max")
    return kind(**{field: config[field] for field in fields})


def model(config) -> NCSNpp:
    """The network of a `config.model` section."""
    parameterization = config["parameterization"]
    if parameterization not in PARAMETERIZATIONS:
        raise ValueError(f"unknown model.parameterization {parameterization!r}; choose one of {PARAMETERIZATIONS}")
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in dict(config).items()}
    del fields["parameterization"], fields["sigma_data"]
    fields["dtype"] = choose(DTYPES, fields.get("dtype", "float32"), "model.dtype")
    published = parameterization == "score"
    return NCSNpp(**fields, scale_by_sigma=published, data_centered=not published)


def _apply(model, params, x, sigma, key=None):
    """The network; with a key as in training, with dropout."""
    if key is None or not model.dropout:
        return model.apply({"params": params}, x, sigma)
    # Folded in, so that a network without dropout draws the same noise as one that has never heard of it.
    return model.apply({"params": params}, x, sigma, train=True, rngs={"dropout": jax.random.fold_in(key, 1)})


def _edm_denoiser(model, sigma_data, params, x, sigma, key=None):
    return edm_denoise(partial(_apply, model, params, key=key), x[None], sigma[None], sigma_data)[0]


def _edm_score(model, sde_, sigma_data, params, x, t):
    return edm_score(partial(_apply, model, params), sde_, x[None], t, sigma_data)[0]


def _network_score(model, sde_, params, x, t, key=None):
    _, sigma = sde_.marginal_prob(t)
    return _apply(model, params, x[None], sigma[None], key)[0]


def _discrete_ve_score(model, count, params, x, t):
    """A published VE network of `count` noise levels: its label is the index of the nearest, the largest first."""
    return _apply(model, params, x[None], jnp.round((1 - t) * (count - 1))[None])[0]


def _published_vp_score(model, sde_, params, x, t):
    """A published VP or sub-VP network predicts -z from the label 999 t (Song et al. 2021)."""
    _, sigma = sde_.marginal_prob(t)
    return -_apply(model, params, x[None], 999 * t[None])[0] / sigma


def loss(config, model_):
    """The training loss of one image and its value at one noise level.

    Returns:
        (loss_fn (key, params, image) -> [], loss_at (key, params, image, sigma) -> []).
    """
    if config.model.parameterization == "edm":
        sigma_data = config.model.sigma_data

        def edm(key, params, x):
            denoiser = partial(_edm_denoiser, model_, sigma_data, params, key=key)
            return losses.edm_loss(
                key, denoiser, x, sigma_data, config.train.log_sigma_mean, config.train.log_sigma_std
            )

        def edm_at(key, params, x, sigma):
            return losses.edm_loss_at(key, partial(_edm_denoiser, model_, sigma_data, params), x, sigma, sigma_data)

        return edm, edm_at
    diffusion = sde(config.sde)

    def matching(key, params, x):
        score_fn = partial(_network_score, model_, diffusion, params, key=key)
        return losses.denoising_score_matching(key, score_fn, diffusion, x, config.train.t_min)

    def matching_at(key, params, x, sigma):
        score_fn = partial(_network_score, model_, diffusion, params)
        return losses.score_matching_at(key, score_fn, diffusion, x, diffusion.time_at(sigma))

    return matching, matching_at


def source(config) -> Source:
    """The layout of the volumes of a `config.data` section."""
    return choose(SOURCES, config.source, "data.source")


def prior_metadata(config) -> dict[str, Any]:
    """The description a prior file carries: all that `prior_from` needs."""
    shape = (config.data.size, config.data.size, config.model.num_channels)
    return {"model": config.model.to_dict(), "sde": config.sde.to_dict(), "shape": shape}


def prior_from(params, metadata: Mapping[str, Any], remat: bool = False) -> Prior:
    """A prior of network parameters and the description made by `prior_metadata`; `remat` as in `load_prior`."""
    config = metadata["model"]
    network, diffusion = model(config).clone(remat=remat), sde(metadata["sde"])
    params = jax.tree.map(jnp.asarray, params)
    if config["parameterization"] == "edm":
        score = partial(_edm_score, network, diffusion, config["sigma_data"])
    else:
        score = partial(_network_score, network, diffusion)
    return Prior(diffusion, jax.tree_util.Partial(score, params), tuple(metadata["shape"]))


def load_prior(name_or_path: str, remat: bool = False) -> Prior:
    """Loads a prior by name or from a file.

    Args:
        name_or_path: a bundled prior ("brain-mri", "body-ct"), a .safetensors file written by training, a work
            directory of `--mode=train`, or a folder with a `checkpoint_<step>` of the published JAX code and a
            `config.json` with its model fields, flat or nested as published (and `sigma_min`, `sigma_max`, if not 0.01
            and 128; `sde` "vpsde" or "subvpsde" with `beta_min`, `beta_max`, if not "vesde").
        remat: methods that go backwards through the network (dps, mcg, pigdm) recompute the activations of its blocks
            instead of storing them: less memory for a third more time, the same images.

    Returns:
        The prior; a pytree, to be passed to compiled functions as an argument.

    Raises:
        ValueError: unknown name, or a file that is not a prior.
    """
    folder = Path(name_or_path)
    if (folder / "config.json").is_file():
        return _published_prior(folder, remat)
    return prior_from(*read_prior(prior_path(name_or_path)), remat)


def _published_prior(folder: Path, remat: bool) -> Prior:
    """The prior of the newest published checkpoint in a folder."""
    checkpoints = sorted(folder.glob("checkpoint_*"), key=lambda p: (len(p.name), p.name))
    if not checkpoints:
        raise ValueError(
            f"{str(folder)!r} holds config.json but no checkpoint_<step> file; put the checkpoint beside it"
        )
    try:
        config = json.loads((folder / "config.json").read_text())
    except ValueError as error:
        raise ValueError(
            f"{str(folder / 'config.json')!r} is not JSON ({error}); write the model fields as JSON"
        ) from error
    if not isinstance(config, dict):
        raise ValueError(f"{str(folder / 'config.json')!r} is no JSON object; write the model fields by name")
    network, params = import_score_sde(checkpoints[-1], config)
    network = network.clone(remat=remat)
    fields = {"sigma_min": 0.01, "sigma_max": 128.0, "beta_min": 0.1, "beta_max": 20.0} | flatten_config(config)
    name = str(config.get("sde", dict(config.get("training", {})).get("sde", "vesde"))).lower()
    diffusion = sde(fields | {"name": name.removesuffix("sde")})
    if not isinstance(diffusion, VESDE):
        score = partial(_published_vp_score, network, diffusion)
    elif network.embedding_type == "positional":
        score = partial(_discrete_ve_score, network, fields.get("num_scales", 1000))
    else:
        score = partial(_network_score, network, diffusion)
    shape = (network.image_size, network.image_size, network.num_channels)
    return Prior(diffusion, jax.tree_util.Partial(score, params), shape)


def prior_path(name_or_path: str) -> Path:
    """The file behind a prior's name, file name or work directory."""
    path = Path(name_or_path)
    if path.is_dir():
        return path / "prior.safetensors"
    if path.suffix == ".safetensors":
        return path
    bundled = {p.stem: p for p in WEIGHTS.glob("*.safetensors")}
    if name_or_path not in bundled:
        raise ValueError(
            f"unknown prior {name_or_path!r}; choose one of {', '.join(sorted(bundled))}, a .safetensors file or a "
            "work directory of --mode=train"
        )
    return bundled[name_or_path]


def sampler_settings(method: Callable, defaults: Mapping[str, Any]) -> dict[str, Any]:
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
        except (KeyError, ValueError) as error:
            kind = type(known[name]).__name__
            raise ValueError(
                f"sampler.settings: {item!r} needs a value of type {kind}, as in {name}={known[name]}"
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


def _predictor(config, method: Callable) -> dict[str, Predictor]:
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

    Called inside the program as `sampler(prior, settings)` with what is data (lam, snr, eta, the noise levels).
    """

    method: Callable
    grid: Callable
    start: Callable
    steps: int
    spin: int
    structure: tuple[tuple[str, Any], ...]

    def __call__(self, prior: Prior, settings: Mapping[str, Any]) -> Reconstruct:
        prior = cycle_spinning(prior, self.spin) if self.spin > 1 else prior
        times = self.grid(prior.sde, self.steps, **settings["levels"])
        return self.method(prior, times=times, start=self.start, **dict(self.structure), **settings["method"])


@dataclass(frozen=True)
class Baseline:
    """A classical method with its structure; called like a `Sampler`, but it looks at no prior."""

    method: Callable
    structure: tuple[tuple[str, int], ...]

    def __call__(self, prior: Prior, settings: Mapping[str, Any]) -> Reconstruct:
        return self.method(**dict(self.structure), **settings["method"])


def _split(settings: Mapping[str, Any]) -> tuple[tuple[tuple[str, Any], ...], dict[str, Any]]:
    """(structure, data) of a method's settings."""
    structure = tuple((name, value) for name, value in settings.items() if isinstance(value, int))
    return structure, {name: jnp.float32(value) for name, value in settings.items() if isinstance(value, float)}


def sampler(config) -> tuple[Sampler, dict[str, Any]]:
    """The conditional sampler of a `config.sampler` section.

    Returns:
        (make, settings): `make(prior, settings)` is the method inside a compiled function, to which `settings`
        (lam, snr, eta, the grid's noise levels, ...) come as an argument, so that other values of them compile nothing.
    """
    config = with_preset(config)
    method, defaults = choose(SAMPLERS, config.method, "sampler.method")
    chosen = sampler_settings(method, defaults)
    chosen |= _parse_settings(config.settings, chosen, config.method)
    structure, data = _split(chosen)
    levels = {"sigma_min": jnp.float32(config.sigma_min), "sigma_max": jnp.float32(config.sigma_max)}
    grid = choose(TIME_GRIDS, config.grid, "sampler.grid")
    start = choose(STARTS, config.start, "sampler.start")
    if config.steps < 1 or config.samples < 1 or not 0 < config.sigma_min < config.sigma_max:
        raise ValueError(
            f"sampler.steps={config.steps}, samples={config.samples}, sigma_min={config.sigma_min}, "
            f"sigma_max={config.sigma_max}; give positive numbers with sigma_min < sigma_max"
        )
    settings = {"levels": levels, "method": data}
    structure = (*structure, *_predictor(config, method).items())
    make = Sampler(method, grid, start, config.steps, config.spin, structure)
    return _within(config.calls, make, settings) if config.calls else make, settings


def network_calls(make: Sampler | Baseline, settings: Mapping[str, Any]) -> int:
    """Evaluations of the network that one image takes, counted in the program of a stand-in of 8 x 8 pixels."""
    prior = Prior(VESDE(), lambda x, t: -x, (8, 8, 1))
    measurement = Measurement(
        jnp.zeros((8, 8), jnp.complex64), LinearOperator(jnp.ones((8, 8)), mri.FourierTransform()), jnp.float32(0)
    )
    return count_network_calls(lambda prior: make(prior, settings), prior, jax.random.key(0), measurement)


class TooFewCalls(ValueError):
    """A method's first step takes more network calls than it is allowed."""


def _within(calls: int, make: Sampler, settings: Mapping[str, Any]) -> Sampler:
    """The sampler with the most steps whose network calls stay within a number; they are affine in the steps."""
    one, two = (network_calls(dataclasses.replace(make, steps=steps), settings) for steps in (1, 2))
    if calls < one:
        raise TooFewCalls(f"sampler.calls={calls}, but one step of the method takes {one} network calls; allow more")
    return dataclasses.replace(make, steps=1 + (calls - one) // (two - one))


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
    return Unrolled(unrolled_network(metadata["unrolled"])), jax.tree.map(jnp.asarray, params)


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
    method = choose(BASELINES, name, "baseline")
    return method(**config.baseline_settings.get(name, {}))


def _mri_operators(config, shape, key, shared) -> list[tuple[str, LinearOperator]]:
    masks = {
        "equispaced": lambda r: mri.equispaced_mask(shape[:2], r, config.center_fraction),
        "random": lambda r: mri.random_mask(key, shape[:2], r, config.center_fraction),
        "variable_density": lambda r: mri.variable_density_mask(key, shape[:2], r, config.center_fraction),
    }
    transform = mri.FourierTransform(shape[2])
    if config.mask.endswith(".npy"):
        return [("own-mask", LinearOperator(read_mask(config.mask, shape[:2]), transform))]
    make = choose(masks, config.mask, "operator.mask for mri")
    return [(f"{r:g}x", LinearOperator(make(r), transform)) for r in config.acceleration]


def _ct_operators(config, shape, key, shared) -> list[tuple[str, LinearOperator]]:
    degrees = choose({"sparse_view": 180.0, "limited_angle": config.degrees}, config.mask, "operator.mask for ct")
    if not 0 < degrees <= 180:
        raise ValueError(f"operator.degrees={degrees}; give a range above 0 and up to 180")
    if min(config.views) < 1:
        raise ValueError(f"operator.views={min(config.views)}; give at least 1 view")
    full = config.full_views or (max(shape) if shared else 0)
    make = _masked_views if full else _views_alone
    suffix = "views" if degrees == 180 else f"views-{degrees:g}-degrees"
    return [(f"{n}-{suffix}", make(n, degrees, shape[:2], config.detectors, full)) for n in config.views]


def _views_alone(views, degrees, shape, detectors, _) -> LinearOperator:
    """A transform of the measured views, which is cheaper than masking a full sinogram."""
    angles = np.deg2rad(degrees) * np.arange(views) / views
    return LinearOperator(jnp.ones((views, 1)), ct.radon_transform(angles, shape, detectors))


def _masked_views(views, degrees, shape, detectors, full) -> LinearOperator:
    """A mask on a full sinogram, which other numbers of views share."""
    inside = round(full * degrees / 180)
    mask = jnp.pad(ct.sparse_view_mask(inside, views), ((0, full - inside), (0, 0)))
    return LinearOperator(mask, _full_sinogram(full, shape, detectors))


@lru_cache(maxsize=4)
def _full_sinogram(views: int, shape: tuple[int, int], detectors: int) -> ct.RadonTransform:
    return ct.radon_transform(ct.uniform_angles(views), shape, detectors)


# A scan with metal starts from the views of a CT scan; `SCANS` leaves the rays through metal out.
MODALITIES = {"ct": _ct_operators, "mar": _ct_operators, "mri": _mri_operators}


def operators(config, shape: tuple[int, int, int], key, shared: bool = False) -> list[tuple[str, LinearOperator]]:
    """The measurement operators of a `config.operator` section for images of one shape, each with a short name.

    Args:
        config: the section.
        shape: (H, W, C) of the image.
        key: PRNG key of random masks.
        shared: whether operators of other masks, accelerations and numbers of views are to have the same transform, so
            that one compiled program takes them all.

    Returns:
        One (name, operator) for each acceleration or number of views.
    """
    return choose(MODALITIES, config.modality, "operator.modality")(config, shape, key, shared)


class Simulated(NamedTuple):
    """A simulated measurement and what belongs to it.

    Attributes:
        truth: what reconstructions are compared with [H, W, C].
        measurement: all that a method gets.
        metal: 1 on pixels of metal [H, W, 1], which are not compared; None where there is none.
        uncorrected: the scanner's own image [H, W, 1], where methods compete with one.
    """

    truth: Image
    measurement: Measurement
    metal: Image | None = None
    uncorrected: Image | None = None


def _subsampled(key, config, operator: LinearOperator, image: Image) -> Simulated:
    oversample = config.operator.oversample
    measurement = simulate(key, operator, image, config.operator.noise_std, oversample)
    return Simulated(block_mean(image, oversample), measurement)


def _metal_scan(key, config, operator: LinearOperator, image: Image) -> Simulated:
    section, window = config.operator, HounsfieldWindow(*config.data.window)
    if config.data.intensity != "ct_window":
        raise ValueError(
            f"metal is simulated in Hounsfield units, data.intensity={config.data.intensity!r} has none; set ct_window"
        )
    if metal.FACTOR % section.oversample:
        raise ValueError(f"operator.oversample={section.oversample}; mar simulates 2 pixels in 1: give 1 or 2")
    height, width = (side // section.oversample for side in image.shape[:2])
    pixel_mm = section.field_of_view / max(height, width)
    beam = metal.beam(section.kvp, section.metal_material, section.photons, pixel_mm)
    share = metal.metal_share(
        metal.read_shape(section.metal), (height, width), pixel_mm, section.metal_size, section.metal_centre
    )
    scan = metal.metal_scan(key, operator, image, share, beam, window, section.metal_threshold, section.noise_std)
    return Simulated(scan.truth, scan.measurement, scan.metal, scan.uncorrected)


# How a modality is measured where that is not A x with Gaussian noise.
SCANS: dict[str, Callable[..., Simulated]] = {"mar": _metal_scan}


def simulated(key, config, operator: LinearOperator, image: Image) -> Simulated:
    """Measures an image as the whole configuration says.

    Args:
        key: PRNG key of the noise.
        config: the whole configuration.
        operator: one of `operators(config.operator, ...)`.
        image: the image [s H, s W, C] in [0, 1], s being `operator.oversample`.

    Returns:
        The measurement and what belongs to it.

    Raises:
        ValueError: settings of the scan that make no sense.
    """
    return SCANS.get(config.operator.modality, _subsampled)(key, config, operator, image)


def fit_channels(prior: Prior, channels: int) -> Prior:
    """The prior for images of `channels` channels: itself, or a real prior on real and imaginary part."""
    if prior.shape[2] == channels:
        return prior
    if (prior.shape[2], channels) == (1, 2):
        return channelwise(prior, channels)
    raise ValueError(f"the prior has {prior.shape[2]} channels, the image {channels}; choose a prior of such images")
