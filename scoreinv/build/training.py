"""Configuration to trainings: of a prior, and of an unrolled network for one operator."""

import itertools
from functools import partial

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from scoreinv import parallel
from scoreinv.build import datasets
from scoreinv.build.measurements import operators
from scoreinv.build.methods import unrolled_network
from scoreinv.build.priors import loss, model, prior_from, prior_metadata, sde
from scoreinv.datasets.augmentation import Appearance, augment
from scoreinv.datasets.pipeline import Stream, random_access, training_batches
from scoreinv.datasets.pyramid import make_pyramid
from scoreinv.datasets.slices import Slice
from scoreinv.datasets.views import native_view, squared, view
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.samplers.base import integrate
from scoreinv.samplers.solvers import heun, noise_to_signal
from scoreinv.samplers.times import karras_times
from scoreinv.training import validation
from scoreinv.training.batches import Batches, draw_from_pool, draw_from_pyramid, take_from_stream
from scoreinv.training.loop import Settings
from scoreinv.training.monitor import Trained
from scoreinv.training.optimization import Descent, Schedule

DECIDING = (
    *("batch_size", "optimizer", "learning_rate", "warmup", "decay", "adam_beta1", "adam_beta2", "adam_eps", "clip"),
    *("ema", "log_sigma_mean", "log_sigma_std", "t_min"),
)


def training_settings(config) -> Settings:
    """How a training runs: the fields of `train`.

    Raises:
        ValueError: a batch that the devices cannot share, or crops larger than the views.
    """
    train, devices = config.train, jax.device_count()
    if train.batch_size < 1 or train.batch_size % devices:
        raise ValueError(f"train.batch_size={train.batch_size}; give a multiple of the number of devices, {devices}")
    if not 0 < config.data.crop <= config.data.size:
        raise ValueError(f"data.crop={config.data.crop}, data.size={config.data.size}; give 0 < crop <= size")
    return Settings(
        Schedule(train.learning_rate, train.warmup, train.decay, train.steps, train.seconds),
        Descent(train.optimizer, train.adam_beta1, train.adam_beta2, train.adam_eps, train.clip),
        batch_size=train.batch_size,
        steps_per_call=train.steps_per_call,
        ema=train.ema,
        seed=config.seed,
        init_from=train.init_from,
        checkpoint_every=train.checkpoint_every,
        keep_checkpoints=train.keep_checkpoints,
        log_every=train.log_every,
        sample_every=train.sample_every,
        made_with=_made_with(config),
    )


def _made_with(config) -> dict[str, object]:
    """The fields that decide what a training makes, but for those that say how long it runs and what it shows."""
    nested = {name: value for name, value in config.to_dict().items() if name in ("seed", "data", "operator", "sde")}
    train = {name: value for name, value in config.train.items() if name in DECIDING}
    return flax.traverse_util.flatten_dict(nested | {"train": train}, sep=".")


def appearance(data, channels: int = 1) -> Appearance:
    """What happens to a training image after it was cut out: the fields of `data`."""
    return Appearance(data.recoloured, data.blur, data.gamma, data.phases, data.flip, channels)


def batches(config, channels: int = 1) -> Batches:
    """The training images of a configuration: of a pool or a pyramid on the devices, or a stream.

    Args:
        config: the configuration: data, train.batch_size, train.steps_per_call, seed.
        channels: 1: real images; 2: real and imaginary part.

    Raises:
        ValueError: no images.
    """
    data, look = config.data, appearance(config.data, channels)
    count = config.train.batch_size // jax.device_count()
    if not data.on_device:
        return _stream(config, count, look)
    if data.views:
        images = datasets.training_views(data, config.seed).astype(np.float16)
        logging.info("%d training views on %d devices", len(images), jax.device_count())
        draw = draw_from_pool(count, data.crop, look)
        return Batches(itertools.repeat(parallel.shard(images)), draw, images=len(images))
    slices = datasets.split_slices(data, "train")
    drawn = datasets.views(data)
    pyramid = make_pyramid([item.image for item in slices], drawn)
    logging.info("%d training slices, %.2f GB at all sizes, on every device", len(slices), pyramid.pixels.nbytes / 1e9)
    draw = draw_from_pyramid(count, data.crop, drawn, look)
    return Batches(itertools.repeat(parallel.replicate(pyramid)), draw, images=len(slices))


def _stream(config, count: int, look: Appearance) -> Batches:
    data, devices, steps = config.data, jax.local_device_count(), config.train.steps_per_call
    slices = random_access(datasets.read_slices(data, "train"))
    if not len(slices):
        raise ValueError(datasets.nothing_in(data, "train", bool(data.packed)))
    logging.info("%d training slices, streamed", len(slices))
    processes = {"process": jax.process_index(), "processes": jax.process_count()}
    stream = Stream(devices * steps * count, data.crop, data.threads, config.seed, **processes)
    iterator = training_batches(slices, datasets.views(data), stream)
    calls = (batch.reshape(devices, steps, count, *batch.shape[1:]) for batch in iterator)
    return Batches(calls, take_from_stream(look), iterator, len(slices))


def validation_sets(config, channels: int = 1) -> dict[str, np.ndarray]:
    """About `train.validation_images` images of the validation split: whole slices, and views of given pixel sizes.

    Args:
        config: the configuration: data, train.validation_images, train.validation_pixels.
        channels: 1: real images; 2: under fixed random phases, real and imaginary part.

    Returns:
        {"": whole slices, "x2": central views with pixels of twice the slice's, ...}, [N, size, size, channels] each;
        a pixel size at which no slice fills its view is left out.
    """
    data, train = config.data, config.train
    slices = datasets.split_slices(data, "validation")
    sets = {"": _images([squared(item, data.size).image for item in _some(slices, train.validation_images)])}
    for factor in train.validation_pixels:
        # A view that reaches far beyond its slice would be scored on black.
        large = [item for item in slices if factor * data.size <= 1.25 * max(item.image.shape)]
        some = _some(large, train.validation_images)
        if some:
            sets[f"x{factor:g}"] = _images([_view(item.image, data.size, factor) for item in some])
        else:
            logging.warning("no validation slice fills %d pixels of %g times its own", data.size, factor)
    if channels == 1:
        return sets
    look = jax.jit(jax.vmap(partial(augment, appearance=Appearance(phases=1.0, channels=channels))))
    return {
        name: np.asarray(look(jax.random.split(jax.random.key(0), len(images)), images))
        for name, images in sets.items()
    }


def _some(items: list[Slice], count: int) -> list[Slice]:
    return items[:: max(1, len(items) // count)]


def _images(planes) -> np.ndarray:
    return np.stack(planes)[..., None]


def _view(image: np.ndarray, size: int, factor: float) -> np.ndarray:
    return native_view(image, size) if factor == 1 else view(image, size, factor * size / max(image.shape))


def prior_training(config) -> Trained:
    """The training of a prior: the network of `model` on the loss of its parameterization.

    Raises:
        ValueError: unusable settings, or no validation images.
    """
    network, channels = model(config.model), config.model.num_channels
    sde(config.sde)  # a prior that cannot be sampled from is not worth its training
    loss_fn, loss_at = loss(config, network)
    sigmas, sets = config.train.validation_sigmas, validation_sets(config, channels)
    crop = (1, config.data.crop, config.data.crop, channels)
    return Trained(
        init=lambda key: network.init(key, jnp.zeros(crop), jnp.ones(1))["params"],
        loss=loss_fn,
        validate=validation.by_noise_level(loss_at, sets, sigmas),
        columns=tuple(validation.column(name, sigma) for name in sets for sigma in sigmas),
        network=config.model.to_dict(),
        file="prior.safetensors",
        metadata=prior_metadata(config),
        sample=_sampling(config),
    )


def _sampling(config):
    """A compiled function params -> unconditional samples [N, H, W, C], always from the same noise.

    Heun's method on the grid of Karras et al. 2022 (algorithm 1), from the noise at t = 1 down to that at t = 0.001.
    """

    @jax.jit
    def sample(params):
        prior = prior_from(params, prior_metadata(config))
        bottom, top = (noise_to_signal(prior.sde, jnp.float32(t)) for t in (1e-3, 1.0))
        times = karras_times(prior.sde, config.train.sample_steps, bottom, top)

        def one(key):
            return integrate(heun(prior), key, prior.sde.prior_sample(key, prior.shape), times)

        return jax.vmap(one)(jax.random.split(jax.random.key(0), config.train.samples))

    return sample


def unrolled_training(config) -> Trained:
    """The training of an unrolled network on simulated measurements of whole slices.

    Args:
        config: the configuration; `operator` names the one measurement that the network is for.

    Raises:
        ValueError: several operators, or a side that the network cannot halve.
    """
    name, operator = _one_operator(config)
    network, noise_std = unrolled_network(config.unrolled), jnp.float32(config.operator.noise_std)
    images = validation_sets(config)[""]
    blank = jnp.zeros((config.data.size, config.data.size, 1))

    def squared_error(key, params, image):
        measurement = simulate(key, operator, image, noise_std)
        return jnp.mean((network.apply({"params": params}, measurement) - image) ** 2)

    @jax.jit
    def mean_error(params, images):
        pairs = (jax.random.split(jax.random.key(0), len(images)), images)
        return jnp.mean(jax.lax.map(lambda pair: squared_error(pair[0], params, pair[1]), pairs))

    return Trained(
        init=lambda key: network.init(key, simulate(key, operator, blank, 0.0))["params"],
        loss=squared_error,
        validate=lambda params: {"validation": float(mean_error(params, images))},
        columns=("validation",),
        network=config.unrolled.to_dict() | {"operator": name},
        file="unrolled.safetensors",
        metadata={"unrolled": config.unrolled.to_dict()},
    )


def _one_operator(config) -> tuple[str, LinearOperator]:
    """The one operator of a configuration, with its name."""
    shape = (config.data.size, config.data.size, 1)
    made = operators(config.operator, shape, jax.random.split(jax.random.key(config.seed))[0])
    if len(made) > 1:
        raise ValueError(f"an unrolled network is trained for one operator, got {len(made)}; give one value")
    if config.data.size % 2**config.unrolled.levels:
        raise ValueError(f"data.size={config.data.size}; give a multiple of 2^unrolled.levels")
    return made[0]
