"""The slices of a volume as a sampler draws them: one by one, on all devices, or together with their neighbours."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from scoreinv import api, build, parallel
from scoreinv.build.volume_tasks import VolumeTask
from scoreinv.operators.base import LinearOperator, Measurement
from scoreinv.operators.stacked import stack
from scoreinv.prior import Prior, alternating, stacked
from scoreinv.reconstruction import Reconstruction, of_draws
from scoreinv.typing import Image

BLOCK_PRIORS = {"acquired": stacked, "all": alternating}
CUBE = 1.2  # longest over shortest side of a voxel that counts as a cube
Draws = Float[Array, "..."]
# What all slices have: the prior, the transform (None where each has its own), how far neighbours differ.
Shared = tuple[Prior, Any, Array]


class Window(NamedTuple):
    """Neighbouring slices that are reconstructed together.

    Attributes:
        first: the first slice of the window.
        kept: the slices whose result is kept; those beside them were there as neighbours.
    """

    first: int
    kept: range


class Drawn(NamedTuple):
    """What was drawn of one slice, in [0, 1].

    Attributes:
        position: in the volume.
        made: the reconstruction; its time and its calls are those of the posterior too.
        posterior: the draws that its interval rests on; None where none was asked for.
        measurement: what it was made from.
        truth: the true image, where the measurement was simulated from one.
    """

    position: int
    made: Reconstruction
    posterior: Draws | None
    measurement: Measurement
    truth: Image | None


class Plan(NamedTuple):
    """How the slices of a volume are drawn.

    Attributes:
        windows: all slices, once.
        at_once: windows that are drawn at once.
        draw: of some of the windows, `at_once` of them or fewer, all slices that are kept.
    """

    windows: list[Window]
    at_once: int
    draw: Callable[[Sequence[Window]], Iterator[Drawn]]


class Part(NamedTuple):
    """What tells a slice from the others [...], or the slices of a window together [slices, ...].

    Attributes:
        y: the data.
        mask: of the operator.
        noise_std: of the data.
        transform: of the operator, where each slice has its own.
    """

    y: Array
    mask: Array
    noise_std: Array
    transform: Any


def windows(count: int, depth: int, halo: int) -> list[Window]:
    """Windows of one length that keep every slice once.

    Args:
        count: number of slices.
        depth: slices kept of a window.
        halo: neighbours on either side that are reconstructed with them; at the ends of a volume, more on one side.

    Returns:
        The windows from the first slice on; their length is min(depth + 2 halo, count).
    """
    length = min(depth + 2 * halo, count)
    starts = range(0, count, depth)
    return [Window(min(max(s - halo, 0), count - length), range(s, min(s + depth, count))) for s in starts]


def plan(config, prior: Prior, task: VolumeTask) -> Plan:
    """How the slices of a volume are drawn: alone on one core, several at once on several devices or a large one.

    Raises:
        ValueError: all planes of voxels that are no cubes.
    """
    depth, halo = _depth(config, task)
    length = min(depth + 2 * halo, len(task.indices))
    every, at_once = windows(len(task.indices), depth, halo), _at_once(config, task, length)
    if at_once == length == 1:
        return Plan(every, 1, lambda some: (_alone(config, prior, task, i) for window in some for i in window.kept))
    return Plan(every, at_once, _side_by_side(config, prior, task, length, at_once))


def seed_of(config, task: VolumeTask, position: int) -> int:
    """Of a slice's draws: its own, whatever was drawn before it, or that of all slices."""
    return config.seed + (0 if config.volume.noise == "shared" else task.indices[position])


def _depth(config, task: VolumeTask) -> tuple[int, int]:
    """(slices that are drawn together and kept, neighbours on either side that are drawn with them)."""
    if config.volume.planes == "acquired":
        return (config.volume.depth, config.volume.halo) if config.volume.coupling else (1, 0)
    sides = np.ones(3) if task.geometry is None else np.linalg.norm(task.geometry.affine[:3, :3], axis=0)
    if max(sides) > CUBE * min(sides):
        found = " x ".join(f"{side:.3g}" for side in sides)
        raise ValueError(
            f"volume.planes=all for voxels of {found} mm; it needs cubes: use volume.coupling, or resample"
        )
    return len(task.indices), 0


def _at_once(config, task: VolumeTask, length: int) -> int:
    """Windows that are drawn at once: one on each device, and more where an accelerator has room for their draws."""
    draws = config.sampler.batch_size
    if not draws and jax.default_backend() != "cpu":  # two cores draw several slices no faster than one after another
        draws = _draws_at_once(config, task, length)
    return jax.local_device_count() * max(1, draws // config.sampler.samples)


def _draws_at_once(config, task: VolumeTask, length: int) -> int:
    return build.draws_at_once(config.sampler.batch_size, (length * task.shape[0], *task.shape[1:]))


def _alone(config, prior: Prior, task: VolumeTask, position: int) -> Drawn:
    """A slice, as a single image is reconstructed."""
    measurement, truth = task.measured(position)
    seed = seed_of(config, task, position)
    made = api.draw(config.sampler, prior, measurement, seed)
    posterior, seconds = api.draw_posterior(config, prior, measurement, seed)
    return Drawn(position, _with_cost(config, made, seconds), posterior, measurement, truth)


def _with_cost(config, made: Reconstruction, seconds: float) -> Reconstruction:
    """A reconstruction to whose time and calls those of the posterior are added."""
    calls = made.network_calls + api.posterior_calls(config)
    return replace(made, network_calls=calls, seconds=made.seconds + seconds)


def _side_by_side(
    config, prior: Prior, task: VolumeTask, length: int, at_once: int
) -> Callable[[Sequence[Window]], Iterator[Drawn]]:
    """Windows of one length, some at once; a window of one slice is that slice by itself."""
    middle = task.measured(len(task.indices) // 2)[0]
    make, settings = build.sampler(config.sampler, middle)
    calls = config.sampler.samples * build.network_calls(make, settings)
    tau = jnp.float32(config.volume.coupling or np.inf)
    shared = prior, None if task.own else middle.operator.transform, tau
    draws_of = _windows_drawn(config, task, shared, length, at_once)
    posterior_of = _posterior_drawn(config, task, shared, at_once)

    def draw(some: Sequence[Window]) -> Iterator[Drawn]:
        every = [task.measured(window.first + i) for window in some for i in range(length)]
        draws, spent = draws_of([one for one, _ in every], [seed_of(config, task, window.kept[0]) for window in some])
        kept = [(i, position) for i, window in enumerate(some) for position in window.kept]
        slices = [every[i * length + position - some[i].first] for i, position in kept]
        seeds = [seed_of(config, task, position) for _, position in kept]
        posterior, more = posterior_of([one for one, _ in slices], seeds)
        about = {"network_calls": calls, "seconds": spent / len(kept)}
        for (i, position), (measurement, truth), rest in zip(kept, slices, posterior, strict=True):
            made = of_draws(draws[i, :, position - some[i].first], config.sampler.quantiles, **about)
            yield Drawn(position, _with_cost(config, made, more / len(kept)), rest, measurement, truth)

    return draw


def _windows_drawn(config, task: VolumeTask, shared: Shared, length: int, at_once: int):
    """(measurements of the slices of some windows, a seed each) -> (draws [windows, K, slices, H, W, C], seconds)."""
    samples, middle = config.sampler.samples, task.measured(len(task.indices) // 2)[0]
    make, of_all = build.sampler(config.sampler, middle)
    start = parallel.compiled_once(lambda shared, _, part: make.start(_measurement(shared[1], part)))
    run = parallel.compiled_once(partial(_of_slice, make) if length == 1 else _of_block(config, task, make))
    size = min(at_once * samples, jax.local_device_count() * _draws_at_once(config, task, length))

    def draw(slices: list[Measurement], seeds: list[int]) -> tuple[Draws, float]:
        parts, keys = _stacked([_part(task, one) for one in slices]), _keys(seeds, samples)
        first, before = _images(start, shared, _keys([0] * len(slices), 1), at_once * length, parts)
        first = first[:, 0]
        settings = [of_all] * len(seeds)
        if length == 1:
            settings = [build.sampler(config.sampler, one)[1] for one in slices]
        else:
            parts, first = jax.tree.map(lambda leaf: leaf.reshape(-1, length, *leaf.shape[1:]), (parts, first))
        draws, spent = _images(run, shared, keys, size, parts, _stacked(settings) | {"first": first})
        return draws if length > 1 else draws[:, :, None], before + spent

    return draw


def _posterior_drawn(config, task: VolumeTask, shared: Shared, at_once: int):
    """(measurements of some slices, a seed each) -> (draws of each one's posterior or None, seconds)."""
    count = config.interval.draws
    if not count:
        return lambda slices, seeds: ([None] * len(slices), 0.0)
    make, settings = build.posterior_sampler(config)
    run = parallel.compiled_once(partial(_of_slice, make))
    size = min(at_once * count, jax.local_device_count() * _draws_at_once(config, task, 1))

    def draw(slices: list[Measurement], seeds: list[int]) -> tuple[Draws, float]:
        parts, keys = _stacked([_part(task, one) for one in slices]), _keys(seeds, count, api.POSTERIOR)
        return _images(run, shared, keys, size, parts, _stacked([settings] * len(slices)))

    return draw


def _images(run, shared: Any, keys: PRNGKeyArray, size: int, *of_each: Any) -> tuple[Draws, float]:
    """(images [N, K, ...] of N items and their keys [N, K], seconds), in calls of one program for `size` images."""
    count, samples = keys.shape
    pairs = np.minimum(np.arange(-(-count * samples // size) * size), count * samples - 1).reshape(-1, size)
    items = [jax.tree.map(partial(jnp.take, indices=some // samples, axis=0), of_each) for some in pairs]
    made = [run(shared, keys.reshape(-1)[some], *item) for some, item in zip(pairs, items, strict=True)]
    images = jnp.concatenate([images for images, _ in made])[: count * samples]
    return images.reshape(count, samples, *images.shape[1:]), sum(seconds for _, seconds in made)


def _of_slice(make: build.Sampler, shared: Shared, key: PRNGKeyArray, part: Part, settings: Any) -> Image:
    prior, transform, _ = shared
    return make(prior, settings)(key, _measurement(transform, part))


def _of_block(config, task: VolumeTask, make: build.Sampler) -> Callable[..., Draws]:
    """The same of the slices of a window as one, pulled together or seen in all planes."""
    prior_of = BLOCK_PRIORS[config.volume.planes]

    def draw(shared: Shared, key: PRNGKeyArray, part: Part, settings: Any) -> Draws:
        prior, transform, tau = shared
        mask = jax.vmap(lambda mask, y: jnp.broadcast_to(mask, y.shape))(part.mask, part.y)
        noise_std = jnp.sqrt(jnp.mean(part.noise_std**2))
        slices = _measurement(transform, part._replace(mask=mask, noise_std=noise_std))
        return make(prior_of(prior), settings)(key, stack(slices, task.shape, tau, own=task.own))

    return draw


def _keys(seeds: Sequence[int], count: int, purpose: int = 0) -> PRNGKeyArray:
    return jnp.stack([api.draw_keys(seed, count, purpose) for seed in seeds])


def _stacked(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _part(task: VolumeTask, measurement: Measurement) -> Part:
    y, operator, noise_std = measurement
    return Part(y, operator.mask, jnp.asarray(noise_std), operator.transform if task.own else None)


def _measurement(transform: Any, part: Part) -> Measurement:
    transform = transform if part.transform is None else part.transform
    return Measurement(part.y, LinearOperator(part.mask, transform), part.noise_std)
