"""Configuration to networks, losses and priors."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from scoreinv.build.names import choose
from scoreinv.formats.guard import FileError, reading, shown
from scoreinv.formats.prior_file import PRIOR, read_prior
from scoreinv.formats.records import read_json
from scoreinv.models.edm import edm_denoise, edm_score
from scoreinv.models.ncsnpp import NCSNpp
from scoreinv.models.score_sde_import import flatten_config, import_score_sde
from scoreinv.prior import Prior, channelwise, nearly_real, phase_following
from scoreinv.sde import VESDE, VPSDE, SubVPSDE
from scoreinv.training import losses

SDES = {"ve": VESDE, "vp": VPSDE, "subvp": SubVPSDE}
PARAMETERIZATIONS = ("edm", "score")
DTYPES = {"bfloat16": jnp.bfloat16, "float32": jnp.float32}
MAX_SIDE = 4096
WEIGHTS = Path(__file__).parents[1] / "weights"


def sde(config) -> SubVPSDE | VESDE | VPSDE:
    """The SDE of a `config.sde` section."""
    kind = choose(SDES, config["name"], "sde.name")
    fields = ("sigma_min", "sigma_max") if kind is VESDE else ("beta_min", "beta_max")
    low, high = (config[field] for field in fields)
    if low > high or (kind is VESDE and low == high):
        raise ValueError(f"sde.{fields[0]}={low:g}, sde.{fields[1]}={high:g}; give the smaller one first")
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
        return losses.score_matching_at(key, score_fn, diffusion, x, jnp.asarray(diffusion.time_at(sigma)))

    return matching, matching_at


def prior_metadata(config) -> dict[str, Any]:
    """The description a prior file carries: all that `prior_from` needs."""
    shape = (config.data.size, config.data.size, config.model.num_channels)
    return {"model": config.model.to_dict(), "sde": config.sde.to_dict(), "shape": shape}


def prior_from(params, metadata: Mapping[str, Any], remat: bool = False) -> Prior:
    """A prior of network parameters and the description made by `prior_metadata`; `remat` as in `load_prior`."""
    config = metadata["model"]
    network, diffusion = model(config).clone(remat=remat), sde(metadata["sde"])
    params = jax.device_put(params)
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

    >>> scoreinv.load_prior("brain-mri").shape
    (128, 128, 1)
    """
    folder = Path(name_or_path)
    if (folder / "config.json").is_file():
        return _published_prior(folder, remat)
    path = prior_path(name_or_path)
    parameters, metadata = read_prior(path)
    with reading(path, PRIOR):
        return _checked(prior_from(parameters, metadata, remat), path)


def _checked(prior: Prior, path: Path) -> Prior:
    """The prior, if its network takes its parameters and images of its shape."""
    if len(prior.shape) != 3 or not all(isinstance(side, int) and 0 < side <= MAX_SIDE for side in prior.shape):
        raise FileError(f"{shown(path)} is of images {prior.shape}; allowed: (H, W, C), sides of 1 to {MAX_SIDE}")
    image, time = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (prior.shape, ()))
    jax.eval_shape(prior.score_fn, image, time)
    return prior


def _published_prior(folder: Path, remat: bool) -> Prior:
    """The prior of the newest published checkpoint in a folder."""
    checkpoints = sorted(folder.glob("checkpoint_*"), key=lambda p: (len(p.name), p.name))
    if not checkpoints:
        raise ValueError(
            f"{str(folder)!r} holds config.json but no checkpoint_<step> file; put the checkpoint beside it"
        )
    config = read_json(folder / "config.json", "a JSON object of the model fields")
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


# How a prior of real images serves complex ones. The standard deviation of what is left of the phase, and the reach of
# the smoothing: measured (experiments/real_mri).
COMPLEX_PRIORS: dict[str, Callable[[Prior], Prior]] = {
    "channelwise": partial(channelwise, channels=2),
    "phase": lambda prior: phase_following(nearly_real(prior, 0.02), 8.0),
}


def fit_channels(prior: Prior, channels: int, complex_prior: str = "phase") -> Prior:
    """The prior for images of `channels` channels: itself, or a real prior for complex images (real, imaginary part).

    Args:
        prior: the prior.
        channels: of the images.
        complex_prior: how a real prior sees complex images: "phase", up to their smooth phase, or "channelwise".

    Raises:
        ValueError: another number of channels than the prior's, or no such way.
    """
    own = prior.shape[2]
    if own == channels:
        return prior
    if channels % 2 == 0 and own <= 2:
        pair = choose(COMPLEX_PRIORS, complex_prior, "sampler.complex_prior")(prior) if own == 1 else prior
        return pair if channels == 2 else channelwise(pair, channels)
    raise ValueError(f"the prior has {own} channels, the image {channels}; choose a prior of such images")
