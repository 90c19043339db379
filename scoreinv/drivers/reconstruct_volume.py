"""Whole volumes: slices in blocks through one compiled program, kept on disk one by one, written as image files."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from scoreinv import api, build, parallel
from scoreinv.build.volume_tasks import VolumeTask, volume_task
from scoreinv.citations import what_to_cite
from scoreinv.evaluation import metrics
from scoreinv.evaluation.rows import ResultFile, claim_settings, digest
from scoreinv.formats.export import plain_geometry, write_image
from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import DAMAGED, FileError, reading, shown
from scoreinv.operators.base import LinearOperator, Measurement
from scoreinv.operators.stacked import stack
from scoreinv.prior import Prior, stacked

MAP = "a map of a volume that grows"
MAPS = ("image", "std", "low", "high")
COLUMNS = ("volume", "slice", "psnr", "ssim", "network_calls", "seconds")
POLL_SECONDS = 0.5


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


def reconstruct_volume(config, workdir: Path) -> list[dict[str, Any]]:
    """Reconstructs the slices of one volume, continuing where it was stopped.

    Slices are measured when their turn comes, drawn in windows of neighbours and written at once; several processes
    that are given one work directory share them. Memory does not grow with the number of slices, but for the input.

    Args:
        config: the whole configuration; `slices` names the slices, `volume` how they are coupled and written.
        workdir: receives `volume.csv` (a row for each slice), `volume.json` (what it was made with), the maps as
            `<name>-image.npy`, `-std`, `-low`, `-high` while it grows, and when all slices are there as image files.

    Returns:
        The rows of `volume.csv` in the order of the slices.

    Raises:
        ValueError: anything wrong with the input, before anything is computed or written; a work directory of another
            seed, sampler, prior or data.
    """
    prior, task = volume_task(config)
    settings = {name: config[name] for name in ("seed", "slices")} | {"prior": digest(prior)}
    settings |= {f"sampler.{name}": value for name, value in config.sampler.items() if name != "batch_size"}
    settings |= {"coupling": config.volume.coupling, "the data of the first slice": digest(task.measured(0)[0])}
    claim_settings(workdir / "volume.json", json.loads(json.dumps(settings)))
    arrays = {name: _array(workdir / f"{task.name}-{name}.npy", task) for name in MAPS}
    depth, halo = (config.volume.depth, config.volume.halo) if config.volume.coupling else (1, 0)
    plan, length = windows(len(task.indices), depth, halo), min(depth + 2 * halo, len(task.indices))
    rows = _complete(workdir, task, plan, length, config, arrays, _program(config, prior, task))
    _export(workdir, task, arrays, config)
    return rows


def _array(path: Path, task: VolumeTask) -> np.memmap:
    """An array [slices, H, W, C] on disk, shared by the processes; made whole before it appears under its name."""
    shape = (len(task.indices), *task.shape)
    if not path.exists():
        write_atomically(path, lambda name: np.lib.format.open_memmap(name, "w+", np.float32, shape).flush())
    with reading(path, MAP):
        array = np.lib.format.open_memmap(path, "r+")
        if array.shape != shape or array.dtype != np.float32:
            raise FileError(f"{shown(path)} holds {array.dtype} of shape {array.shape}; expected {shape}: {DAMAGED}")
        return array


def _program(config, prior: Prior, task: VolumeTask) -> Callable[[Window, int], tuple[dict[str, np.ndarray], float]]:
    """(a window, its length) -> its slices' maps [length, H, W, C] in [0, 1], and the seconds a slice took."""
    make, settings = _sampler(config, task)
    samples, quantiles = config.sampler.samples, tuple(config.sampler.quantiles)
    tau, start = config.volume.coupling or np.inf, jax.jit(make.start)

    def draw(shared, key):
        prior, settings, block = shared
        return make(stacked(prior), settings)(key, block)

    run = parallel.compiled_once(draw)

    def reconstruct(window: Window, length: int):
        slices = [task.measured(window.first + i)[0] for i in range(length)]
        shared = (prior, settings | {"first": jnp.stack([start(one) for one in slices])}, _block(task, slices, tau))
        at_once = build.draws_at_once(config.sampler.batch_size, (length * task.shape[0], *task.shape[1:]))
        size = min(samples, at_once * jax.local_device_count())
        # Keys of the window, so that it is the same whatever was done before it.
        keys = api.draw_keys(config.seed + window.kept[0], -(-samples // size) * size)
        drawn, seconds = [], 0.0
        for first in range(0, samples, size):
            images, spent = run(shared, keys[first : first + size])
            drawn.append(images)
            seconds += spent
        return _maps(np.asarray(jnp.concatenate(drawn)[:samples]), quantiles), seconds / length

    return reconstruct


def _sampler(config, task: VolumeTask) -> tuple[build.Sampler, dict[str, Any]]:
    """The sampler, its settings derived from the slice in the middle."""
    return build.sampler(config.sampler, task.measured(len(task.indices) // 2)[0])


def _maps(draws: Float[np.ndarray, "K slices H W C"], levels: Sequence[float]) -> dict[str, np.ndarray]:
    """What is kept of the draws of a window: mean, standard deviation and the ends of their interval."""
    low, high = np.quantile(draws, (levels[0], levels[-1]), axis=0)
    return dict(zip(MAPS, (draws.mean(0), draws.std(0, ddof=min(1, len(draws) - 1)), low, high), strict=True))


def _block(task: VolumeTask, slices: Sequence[Measurement], tau: float) -> Measurement:
    """The measurements of a window's slices as one."""
    y = jnp.stack([one.y for one in slices])
    mask = jnp.stack([jnp.broadcast_to(one.operator.mask, one.y.shape) for one in slices])
    transforms = [one.operator.transform for one in slices]
    transform = jax.tree.map(lambda *leaves: jnp.stack(leaves), *transforms) if task.own else transforms[0]
    noise_std = jnp.sqrt(jnp.mean(jnp.stack([one.noise_std for one in slices]) ** 2))
    return stack(Measurement(y, LinearOperator(mask, transform), noise_std), task.shape, tau, own=task.own)


def _complete(workdir: Path, task: VolumeTask, plan: Sequence[Window], length: int, config, arrays, run) -> list[dict]:
    """Every slice's row; what is missing is computed here, or awaited where another process has taken it on."""
    file = ResultFile(workdir / "volume.csv", COLUMNS)
    make, settings = _sampler(config, task)
    calls = config.sampler.samples * build.network_calls(make, settings)
    with file.claims() as claims, tqdm(total=len(task.indices), desc=task.name, unit="slice") as bar:
        while missing := [w for w in plan if not _done(file, task) >= {task.indices[i] for i in w.kept}]:
            busy = 0
            for window in missing:
                identity = (task.name, str(task.indices[window.kept[0]]))
                with claims.claim([identity]) as mine:
                    if mine[0] and not _done(file, task) >= {task.indices[i] for i in window.kept}:
                        found, seconds = run(window, length)
                        file.append(_keep(task, window, found, arrays, calls, seconds))
                busy += not mine[0]
                bar.update(len(_done(file, task)) - bar.n)
            if busy == len(missing):
                time.sleep(POLL_SECONDS)
        bar.update(len(_done(file, task)) - bar.n)
    rows = {row["slice"]: row for row in file.rows() if row["volume"] == task.name}
    return [rows[str(index)] for index in task.indices]


def _done(file: ResultFile, task: VolumeTask) -> set[int]:
    return {int(row["slice"]) for row in file.rows() if row["volume"] == task.name}


def _keep(task: VolumeTask, window: Window, found, arrays, calls: int, seconds: float) -> list[dict[str, Any]]:
    """Writes a window's slices in the unit of the data; its rows, which say that they are written."""
    rows = []
    for position in window.kept:
        own = {name: values[position - window.first] for name, values in found.items()}
        for name, values in own.items():
            arrays[name][position] = task.scale * values + (0 if name == "std" else task.offset)
        _, truth = task.measured(position)
        scores = {"psnr": "", "ssim": ""} if truth is None else _scores(jnp.asarray(own["image"]), truth)
        about = {"volume": task.name, "slice": task.indices[position], "network_calls": calls}
        rows.append(about | scores | {"seconds": f"{seconds:.4g}"})
    for array in arrays.values():
        array.flush()
    return rows


def _scores(image, truth) -> dict[str, str]:
    return {name: f"{float(getattr(metrics, name)(image, truth)):.6g}" for name in ("psnr", "ssim")}


def _export(workdir: Path, task: VolumeTask, arrays, config) -> None:
    """Writes the maps as the image files asked for, and says where."""
    geometry = task.geometry or plain_geometry(task.spacing or (1.0, 1.0), unit=task.unit)
    method = f"scoreinv {config.sampler.method}, prior {Path(config.prior).stem}"
    written: list[Path] = []
    for kind in config.volume.formats:
        for name in MAPS if config.sampler.samples > 1 else MAPS[:1]:
            values = arrays[name]
            plane = values[..., 0] if task.shape[2] == 1 else values[..., 0] + 1j * values[..., 1]
            said = method if name == "image" else f"{method}, {name}"
            written += write_image(kind, workdir / f"{task.name}-{name}", plane, geometry, said)
    names = ", ".join(path.name for path in written[:8])
    print(f"{len(task.indices)} slices, volume.csv and {names} are in {workdir}")
    print(what_to_cite([build.with_preset(config.sampler).method]))
