"""Whole volumes: slices through one compiled program, kept on disk one by one, written as image files."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from scoreinv import api, build, parallel
from scoreinv.build.volume_tasks import VolumeTask, volume_task
from scoreinv.citations import what_to_cite
from scoreinv.evaluation import metrics
from scoreinv.evaluation.conformal import Correction, task_name
from scoreinv.evaluation.rows import ResultFile, claim_settings, digest
from scoreinv.evaluation.uncertainty import object_region
from scoreinv.formats.export import plain_geometry, write_maps
from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import DAMAGED, FileError, reading, shown
from scoreinv.operators.base import LinearOperator, Measurement
from scoreinv.operators.stacked import stack
from scoreinv.prior import Prior, alternating, stacked
from scoreinv.reconstruction import Reconstruction, of_draws, open_name, planes, with_doubts, with_open_fraction
from scoreinv.reconstruction import shown as shown_image
from scoreinv.scans.scan import Scan
from scoreinv.typing import Image

COLUMNS = ("volume", "slice", "psnr", "ssim", "on_prior", "network_calls", "seconds")
MAP = "a map of a volume that grows"
POLL_SECONDS = 0.5
BLOCK_PRIORS = {"acquired": stacked, "all": alternating}
CUBE = 1.2  # longest over shortest side of a voxel that counts as a cube


class Window(NamedTuple):
    """Neighbouring slices that are reconstructed together.

    Attributes:
        first: the first slice of the window.
        kept: the slices whose result is kept; those beside them were there as neighbours.
    """

    first: int
    kept: range


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


class Drawn(NamedTuple):
    """What was drawn of one slice, in [0, 1].

    Attributes:
        position: in the volume.
        made: the reconstruction.
        measurement: what it was made from.
        truth: the true image, where the measurement was simulated from one.
    """

    position: int
    made: Reconstruction
    measurement: Measurement
    truth: Image | None


def reconstruct_volume(config, workdir: Path) -> list[dict[str, Any]]:
    """Reconstructs the slices of one volume, continuing where it was stopped.

    Slices are measured when their turn comes, drawn and written at once; several processes that are given one work
    directory share them. Memory does not grow with the number of slices, but for the input.

    Args:
        config: the whole configuration; `slices` names the slices, `volume` how they are drawn together.
        workdir: receives `volume.csv` (a row for each slice), `volume.json` (what it was made with), the maps as
            `<name>-image.npy`, `-std`, `-low`, `-high`, `-contrast` and `-truth` while they grow, and when all slices
            are there as image files.

    Returns:
        The rows of `volume.csv` in the order of the slices.

    Raises:
        ValueError: anything wrong with the input, before anything is computed or written; a work directory of another
            seed, sampler, prior or data.
    """
    prior, task = volume_task(config)
    first, truth = task.measured(0)
    name = task_name(task.operator, float(first.noise_std))
    correction = build.correction(config.interval, config.prior, name)
    claim_settings(workdir / "volume.json", _settings(config, prior, first))
    arrays = {name: _array(workdir / f"{task.name}-{name}.npy", task) for name in _names(config, task, truth)}
    depth, halo = _depth(config, task)
    plan, length = windows(len(task.indices), depth, halo), min(depth + 2 * halo, len(task.indices))
    draw = _together(config, prior, task, length) if length > 1 else partial(_alone, config, prior, task)

    def run(window: Window) -> list[dict[str, Any]]:
        rows = [_keep(config, task, _doubted(config, task, prior, one, correction), arrays) for one in draw(window)]
        for array in arrays.values():
            array.flush()
        return rows

    rows = _complete(workdir, task, plan, run)
    _export(config, workdir, task, arrays)
    return rows


def _depth(config, task: VolumeTask) -> tuple[int, int]:
    """(slices that are drawn together and kept, neighbours on either side that are drawn with them).

    Raises:
        ValueError: all planes of voxels that are no cubes.
    """
    if config.volume.planes == "acquired":
        return (config.volume.depth, config.volume.halo) if config.volume.coupling else (1, 0)
    sides = np.ones(3) if task.geometry is None else np.linalg.norm(task.geometry.affine[:3, :3], axis=0)
    if max(sides) > CUBE * min(sides):
        found = " x ".join(f"{side:.3g}" for side in sides)
        raise ValueError(
            f"volume.planes=all for voxels of {found} mm; it needs cubes: use volume.coupling, or resample"
        )
    return len(task.indices), 0


def _settings(config, prior: Prior, first: Measurement) -> dict[str, Any]:
    """All that decides what is written of a slice, flat; of prior and data the digests."""
    sections = {name: config[name].to_dict() for name in ("sampler", "interval", "volume")}
    del sections["sampler"]["batch_size"]
    settings = {name: config[name] for name in ("seed", "slices")} | flax.traverse_util.flatten_dict(sections, sep=".")
    return settings | {"prior": digest(prior), "the data of the first slice": digest(first)}


def _names(config, task: VolumeTask, truth: Image | None) -> tuple[str, ...]:
    """The maps that are kept."""
    several = config.sampler.samples > 1
    asked = {
        "image": True,
        "std": several,
        "low": several or config.interval.draws,
        "high": several or config.interval.draws,
        "contrast": True,
        "phase": config.output.phase and task.shape[2] == 2,
        "truth": truth is not None,
    }
    return *(name for name, is_asked in asked.items() if is_asked), *map(open_name, config.interval.scales)


def _array(path: Path, task: VolumeTask) -> np.memmap:
    """An array [slices, H, W] on disk, shared by the processes; made whole before it appears under its name."""
    shape = (len(task.indices), *task.shape[:2])
    if not path.exists():
        write_atomically(path, lambda name: np.lib.format.open_memmap(name, "w+", np.float32, shape).flush())
    with reading(path, MAP):
        array = np.lib.format.open_memmap(path, "r+")
        if array.shape != shape or array.dtype != np.float32:
            raise FileError(f"{shown(path)} holds {array.dtype} of shape {array.shape}; expected {shape}: {DAMAGED}")
        return array


def _seed(config, task: VolumeTask, position: int) -> int:
    """Of a slice's draws: its own, whatever was drawn before it, or that of all slices."""
    return config.seed + (0 if config.volume.noise == "shared" else task.indices[position])


def _alone(config, prior: Prior, task: VolumeTask, window: Window) -> Iterator[Drawn]:
    """The slices of a window, each as a single image is reconstructed."""
    for position in window.kept:
        measurement, truth = task.measured(position)
        made = api.draw(config.sampler, prior, measurement, _seed(config, task, position))
        yield Drawn(position, made, measurement, truth)


def _together(config, prior: Prior, task: VolumeTask, length: int) -> Callable[[Window], Iterator[Drawn]]:
    """The slices of windows of one length, drawn together with their neighbours."""
    make, settings = build.sampler(config.sampler, task.measured(len(task.indices) // 2)[0])
    samples, start = config.sampler.samples, jax.jit(make.start)
    at_once = build.draws_at_once(config.sampler.batch_size, (length * task.shape[0], *task.shape[1:]))
    size, calls = min(samples, at_once * jax.local_device_count()), samples * build.network_calls(make, settings)

    block_prior, tau = BLOCK_PRIORS[config.volume.planes], config.volume.coupling or np.inf

    def draw(shared, key):
        prior, settings, block = shared
        return make(block_prior(prior), settings)(key, block)

    run = parallel.compiled_once(draw)

    def reconstruct(window: Window) -> Iterator[Drawn]:
        slices = [task.measured(window.first + i) for i in range(length)]
        measurements = [measurement for measurement, _ in slices]
        first = jnp.stack([start(one) for one in measurements])
        shared = (prior, settings | {"first": first}, _block(task, measurements, tau))
        keys = api.draw_keys(_seed(config, task, window.kept[0]), -(-samples // size) * size)
        drawn, seconds = zip(*(run(shared, keys[i : i + size]) for i in range(0, samples, size)), strict=True)
        draws, spent = jnp.concatenate(drawn)[:samples], sum(seconds) / length
        for position in window.kept:
            own = draws[:, position - window.first]
            made = of_draws(own, config.sampler.quantiles, network_calls=calls, seconds=spent)
            yield Drawn(position, made, *slices[position - window.first])

    return reconstruct


def _block(task: VolumeTask, slices: Sequence[Measurement], tau: float) -> Measurement:
    """The measurements of a window's slices as one."""
    y = jnp.stack([one.y for one in slices])
    mask = jnp.stack([jnp.broadcast_to(one.operator.mask, one.y.shape) for one in slices])
    transforms = [one.operator.transform for one in slices]
    transform = jax.tree.map(lambda *leaves: jnp.stack(leaves), *transforms) if task.own else transforms[0]
    noise_std = jnp.sqrt(jnp.mean(jnp.stack([one.noise_std for one in slices]) ** 2))
    return stack(Measurement(y, LinearOperator(mask, transform), noise_std), task.shape, tau, own=task.own)


def _doubted(config, task: VolumeTask, prior: Prior, drawn: Drawn, correction: Correction | None) -> Drawn:
    """The same with an interval and what of it rests on the prior."""
    seed = _seed(config, task, drawn.position)
    posterior, seconds = api.draw_posterior(config, prior, drawn.measurement, seed)
    limits = config.interval
    made = with_doubts(drawn.made, drawn.measurement, posterior, limits.level, limits.contrast, correction)
    key = api.draw_keys(seed, 1, api.PATTERNS)[0]
    made = with_open_fraction(key, made, drawn.measurement, config.interval.scales)
    calls = made.network_calls + api.posterior_calls(config)
    return drawn._replace(made=replace(made, network_calls=calls, seconds=made.seconds + seconds))


def _keep(config, task: VolumeTask, drawn: Drawn, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Writes a slice's maps in the unit of the data; its row, which says that they are written."""
    position, made, measurement, truth = drawn
    scan = Scan(task.name, measurement, task.scale, task.offset, task.unit)
    maps = planes(made.in_unit_of(scan), config.output.phase, config.interval.scales)
    if truth is not None:
        maps["truth"] = np.asarray(scan.scale * shown_image(truth) + scan.offset)[..., 0]
    for name, array in arrays.items():
        array[position] = maps[name]
    assert made.on_prior is not None
    share = made.on_prior.sum() / max(object_region(made.image).sum(), 1)
    scores = {"psnr": "", "ssim": ""} if truth is None else _scores(made.image, truth)
    about = {"volume": task.name, "slice": task.indices[position], "on_prior": f"{share:.4f}"}
    return about | scores | {"network_calls": made.network_calls, "seconds": f"{made.seconds:.4g}"}


def _scores(image: Image, truth: Image) -> dict[str, str]:
    return {name: f"{float(getattr(metrics, name)(image, truth)):.6g}" for name in ("psnr", "ssim")}


def _complete(
    workdir: Path, task: VolumeTask, plan: Sequence[Window], run: Callable[[Window], list[Any]]
) -> list[dict[str, Any]]:
    """Every slice's row; what is missing is computed here, or awaited where another process has taken it on."""
    file = ResultFile(workdir / "volume.csv", COLUMNS)
    with file.claims() as claims, tqdm(total=len(task.indices), desc=task.name, unit="slice") as bar:
        while missing := [w for w in plan if not _done(file, task) >= {task.indices[i] for i in w.kept}]:
            busy = 0
            for window in missing:
                identity = (task.name, str(task.indices[window.kept[0]]))
                with claims.claim([identity]) as mine:
                    if mine[0] and not _done(file, task) >= {task.indices[i] for i in window.kept}:
                        file.append(run(window))
                busy += not mine[0]
                bar.update(len(_done(file, task)) - bar.n)
            if busy == len(missing):
                time.sleep(POLL_SECONDS)
        bar.update(len(_done(file, task)) - bar.n)
    rows = {row["slice"]: row for row in file.rows() if row["volume"] == task.name}
    return [rows[str(index)] for index in task.indices]


def _done(file: ResultFile, task: VolumeTask) -> set[int]:
    return {int(row["slice"]) for row in file.rows() if row["volume"] == task.name}


def _export(config, workdir: Path, task: VolumeTask, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the maps as the image files asked for, and says where."""
    geometry = task.geometry or plain_geometry(task.spacing or (1.0, 1.0), unit=task.unit)
    method = f"scoreinv {config.sampler.method}, prior {Path(config.prior).stem}"
    written = write_maps(config.output.formats, workdir / task.name, arrays, geometry, method)
    names = ", ".join(path.name for path in written[:8])
    print(f"{len(task.indices)} slices, volume.csv and {names} are in {workdir}")
    print(what_to_cite([build.with_preset(config.sampler).method]))
