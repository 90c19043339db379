"""Checkpoints of the published JAX code of score-based models (Song et al. 2021 and 2022), read into `NCSNpp`.

The published network numbers its modules by class in the order they are made; here the same walk over the
configuration yields, side by side, our name and theirs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import flax.serialization
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from scoreinv.models.ncsnpp import NCSNpp

MAX_BYTES = 2**33
REQUIRED = (
    "image_size",
    "num_channels",
    "nf",
    "ch_mult",
    "num_res_blocks",
    "attn_resolutions",
    "scale_by_sigma",
    "resblock_type",
    "fir",
    "progressive",
    "progressive_input",
    "progressive_combine",
    "embedding_type",
    "skip_rescale",
    "resamp_with_conv",
    "conditional",
    "nonlinearity",
)
OPTIONAL = ("fir_kernel", "fourier_scale", "init_scale", "dropout", "data_centered")
NUMBERS = ("image_size", "num_channels", "nf", "num_res_blocks")
SEQUENCES = ("ch_mult", "attn_resolutions", "fir_kernel")
BLOCK = {
    "norm_0": "GroupNorm_0",
    "conv_0": "Conv_0",
    "embedding": "Dense_0",
    "norm_1": "GroupNorm_1",
    "conv_1": "Conv_1",
}
ATTENTION = {"norm": "GroupNorm_0", "query": "NIN_0", "key": "NIN_1", "value": "NIN_2", "out": "NIN_3"}
LEAF = {
    "NIN": {"kernel": "W", "bias": "b"},
    "Conv2d": {"kernel": "weight"},
    "GaussianFourierProjection": {"frequencies": "W"},
}


def import_score_sde(path: str | Path, config: Mapping[str, Any]) -> tuple[NCSNpp, dict[str, Any]]:
    """Reads an NCSN++ checkpoint of the published score-based model code (Song et al. 2021, appendix H).

    Args:
        path: flax msgpack file with an entry `params_ema`. It is parsed, never executed.
        config: the fields of the published `config.model`, with `image_size`, `num_channels` and `data_centered`
            (`centered`) of `config.data`; flat, or nested with sections `model` and `data`. ml_collections work too.

    Returns:
        (model, params): `model.apply({"params": params}, x, sigma)` is the published forward pass for images
        x [N, H, W, C] and the labels sigma [N] that the published network is called with: noise levels for Fourier
        embedding, time steps for positional embedding.

    Raises:
        ValueError: no such file, not such a checkpoint, or a configuration that is unsupported or of another network.
    """
    model = _model(flatten_config(config))
    published = _read_params(Path(path))
    if not model.conditional:
        published = {k: v for k, v in published.items() if not k.startswith("GaussianFourierProjection_0/")}
    side = model.patch_size * 2 ** (len(model.ch_mult) - 1)
    image = jax.ShapeDtypeStruct((1, side, side, model.num_channels), jnp.float32)
    labels = jax.ShapeDtypeStruct((1,), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), image, labels)["params"]
    modules = dict(_modules(model))
    params = {}
    for name, leaf in flax.traverse_util.flatten_dict(shapes, sep="/").items():
        params[name] = _take(published, _published_name(modules, name, model.fir), leaf.shape)
    if published:
        raise ValueError(
            f"the checkpoint has {len(published)} parameters that the config has no place for, among them "
            f"{min(published)!r}; pass the config this checkpoint was trained with"
        )
    return model, flax.traverse_util.unflatten_dict(params, sep="/")


def _read_params(path: Path) -> dict[str, Any]:
    """The averaged parameters of a checkpoint by path."""
    if not path.is_file():
        raise ValueError(f"checkpoint {str(path)!r} does not exist; pass a file such as .../checkpoints/checkpoint_95")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"checkpoint {str(path)!r} has {path.stat().st_size} bytes, more than {MAX_BYTES}")
    try:
        state = flax.serialization.msgpack_restore(path.read_bytes())
        params = state.get("params_ema") if isinstance(state, dict) else None
        named = _named(params) if isinstance(params, dict) else {}
    except Exception as error:  # msgpack and numpy raise many types for a damaged file
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ValueError(
            f"{str(path)!r} is not a whole flax msgpack checkpoint ({what}); copy it again from where it was written"
        ) from error
    if not named:
        raise ValueError(f"{str(path)!r} has no entry 'params_ema'; it is not a checkpoint of the published code")
    return {name.removeprefix("params/"): value for name, value in named.items()}


def _named(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of a nested dict by path."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    parts = [_named(branch, f"{prefix}/{key}" if prefix else str(key)) for key, branch in tree.items()]
    return {name: leaf for part in parts for name, leaf in part.items()}


def flatten_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """One flat dict of the model and data sections of a published config, lists made tuples."""
    flat = dict(config)
    for section in ("model", "data"):
        flat.update(dict(flat.pop(section, {})))
    flat.setdefault("data_centered", flat.get("centered", False))
    return {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in flat.items()}


def _model(config: dict[str, Any]) -> NCSNpp:
    missing = [field for field in REQUIRED if field not in config]
    if missing:
        raise ValueError(
            f"the config lacks {', '.join(missing)}; pass the published config.model and config.data fields"
        )
    if config.get("name", "ncsnpp") != "ncsnpp":
        raise ValueError(f"the config is of model.name={config['name']!r}; only checkpoints of 'ncsnpp' can be read")
    fields = {field: config[field] for field in (*REQUIRED, *OPTIONAL) if field in config}
    fields = {field: value.lower() if isinstance(value, str) else value for field, value in fields.items()}
    _check_fields(fields)
    model = NCSNpp(**fields)
    if model.scale_by_sigma and model.embedding_type == "positional":
        if not {"sigma_min", "sigma_max", "num_scales"} <= set(config):
            raise ValueError(
                "scale_by_sigma with positional embedding needs sigma_min, sigma_max and num_scales, which turn labels "
                "into noise levels; add them to the config"
            )
        table = (config["sigma_min"], config["sigma_max"], config["num_scales"])
        model = model.clone(label_sigmas=table)
    return model


def _check_fields(fields: Mapping[str, Any]) -> None:
    """Types and signs, so that a mistyped config is named before a network is made of it."""
    for field, value in fields.items():
        if field not in NUMBERS + SEQUENCES:
            continue
        values = value if isinstance(value, tuple) else (value,)
        kind = int | float if field == "fir_kernel" else int
        fits = isinstance(value, tuple) == (field in SEQUENCES) and (values or field == "attn_resolutions")
        if not fits or not all(isinstance(v, kind) and v > 0 for v in values):
            what = "a list of positive numbers" if field in SEQUENCES else "a positive integer"
            raise ValueError(f"the config has {field}={value!r}; give {what}, as the published config does")
    levels = len(fields["ch_mult"])
    if fields["image_size"] % 2 ** (levels - 1):
        side = fields["image_size"]
        raise ValueError(f"the config has {levels} levels, but image_size={side} is no multiple of {2 ** (levels - 1)}")


def _modules(model: NCSNpp) -> Iterator[tuple[str, str]]:
    """(our name, published name) of every module, in the order in which the published code makes them."""
    count: Counter[str] = Counter()

    def new(kind):
        count[kind] += 1
        return f"{kind}_{count[kind] - 1}"

    levels, lowest = range(len(model.ch_mult)), len(model.ch_mult) - 1
    biggan = model.resblock_type == "biggan"
    block = "ResnetBlockBigGANpp" if biggan else "ResnetBlockDDPMpp"
    yield "embedding", "GaussianFourierProjection_0"
    yield "embedding_0", "Dense_0"
    yield "embedding_1", "Dense_1"
    yield "conv_in", new("Conv")
    for level in levels:
        for i in range(model.num_res_blocks):
            yield f"down_{level}_block_{i}", new(block)
            if model.has_attention(level):
                yield f"down_{level}_attention_{i}", new("AttnBlockpp")
        if level < lowest:
            yield f"down_{level}_resample", new(block if biggan else "Downsample")
            if model.progressive_input != "none":
                yield f"down_{level}_pyramid", new("Downsample")
            if model.progressive_input == "input_skip":
                yield f"down_{level}_combine", new("Combine") + "/Conv_0"
    yield "middle_block_0", new(block)
    yield "middle_attention", new("AttnBlockpp")
    yield "middle_block_1", new(block)
    for level in reversed(levels):
        for i in range(model.num_res_blocks + 1):
            yield f"up_{level}_block_{i}", new(block)
        if model.has_attention(level):
            yield f"up_{level}_attention", new("AttnBlockpp")
        if model.progressive != "none" and level < lowest:
            yield f"up_{level}_pyramid", new("Upsample")
        if model.progressive == "output_skip" or (model.progressive == "residual" and level == lowest):
            yield f"up_{level}_norm", new("GroupNorm")
            yield f"up_{level}_conv", new("Conv")
        if level > 0:
            yield f"up_{level}_resample", new(block if biggan else "Upsample")
    if model.progressive != "output_skip":
        yield "out_norm", new("GroupNorm")
        yield "out_conv", new("Conv")


def _published_name(modules: dict[str, str], name: str, fir: bool) -> str:
    """The published path of one of our parameters."""
    module, *inner, leaf = name.split("/")
    published = modules[module]
    if published.startswith("ResnetBlock"):
        shortcut = "Conv_2" if "BigGAN" in published else "NIN_0"
        published += "/" + (BLOCK | {"shortcut": shortcut})[inner[0]]
    elif published.startswith("AttnBlock"):
        published += "/" + ATTENTION[inner[0]]
    elif published.startswith(("Upsample", "Downsample")):
        published += "/Conv2d_0" if fir else "/Conv_0"
    kind = published.split("/")[-1].split("_")[0]
    return f"{published}/{LEAF.get(kind, {}).get(leaf, leaf)}"


def _take(published: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Removes one parameter from the published ones and gives it our shape."""
    if name not in published:
        raise ValueError(f"the checkpoint has no parameter {name!r}; pass the config this checkpoint was trained with")
    stored = published.pop(name)
    if not isinstance(stored, np.ndarray) or not jnp.issubdtype(stored.dtype, jnp.floating):
        raise ValueError(f"parameter {name!r} of the checkpoint is no array of real numbers; the file is damaged")
    value = np.asarray(stored, np.float32)
    if not np.all(np.isfinite(value)):
        raise ValueError(f"parameter {name!r} of the checkpoint holds NaN or Inf; use a checkpoint from before that")
    # A published "NIN" is the matrix [C, D] of a 1 x 1 convolution.
    if value.shape != shape and value.shape != shape[2:]:
        raise ValueError(
            f"parameter {name!r} of the checkpoint has shape {value.shape}, the config asks for {shape}; "
            "pass the config this checkpoint was trained with"
        )
    return value.reshape(shape)
