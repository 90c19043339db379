"""Whole volumes: slices through one compiled program, kept on disk one by one, written as image files."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.traverse_util
import numpy as np
from tqdm import tqdm

from scoreinv import api, build
from scoreinv.build.volume_tasks import VolumeTask, volume_task
from scoreinv.citations import what_to_cite
from scoreinv.drivers.volume_draws import Drawn, Plan, Window, plan, seed_of
from scoreinv.evaluation import metrics
from scoreinv.evaluation.conformal import Correction, task_name
from scoreinv.evaluation.rows import ResultFile, claim_settings, digest
from scoreinv.evaluation.uncertainty import object_region
from scoreinv.formats.export import plain_geometry, write_maps
from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import DAMAGED, FileError, reading, shown
from scoreinv.operators.base import Measurement
from scoreinv.prior import Prior
from scoreinv.reconstruction import open_name, planes, with_doubts, with_open_fraction
from scoreinv.reconstruction import shown as shown_image
from scoreinv.scans.scan import Scan
from scoreinv.typing import Image

COLUMNS = ("volume", "slice", "psnr", "ssim", "on_prior", "network_calls", "seconds")
MAP = "a map of a volume that grows"
POLL_SECONDS = 0.5


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
    planned = plan(config, prior, task)
    first, truth = task.measured(0)
    name = task_name(task.operator, float(first.noise_std))
    correction = build.correction(config.interval, config.prior, name)
    claim_settings(workdir / "volume.json", _settings(config, prior, first))
    arrays = {name: _array(workdir / f"{task.name}-{name}.npy", task) for name in _names(config, task, truth)}

    def run(windows: Sequence[Window]) -> list[dict[str, Any]]:
        drawn = (_doubted(config, task, one, correction) for one in planned.draw(windows))
        rows = [_keep(config, task, one, arrays) for one in drawn]
        for array in arrays.values():
            array.flush()
        return rows

    rows = _complete(workdir, task, planned, run)
    _export(config, workdir, task, arrays)
    return rows


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


def _doubted(config, task: VolumeTask, drawn: Drawn, correction: Correction | None) -> Drawn:
    """The same with an interval and what of it rests on the prior."""
    _, made, posterior, measurement, _ = drawn
    limits = config.interval
    made = with_doubts(made, measurement, posterior, limits.level, limits.contrast, correction)
    key = api.draw_keys(seed_of(config, task, drawn.position), 1, api.PATTERNS)[0]
    return drawn._replace(made=with_open_fraction(key, made, measurement, limits.scales))


def _keep(config, task: VolumeTask, drawn: Drawn, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Writes a slice's maps in the unit of the data; its row, which says that they are written."""
    position, made, _, measurement, truth = drawn
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
    workdir: Path, task: VolumeTask, planned: Plan, run: Callable[[Sequence[Window]], list[Any]]
) -> list[dict[str, Any]]:
    """Every slice's row; what is missing is computed here, or awaited where another process has taken it on."""
    file, size = ResultFile(workdir / "volume.csv", COLUMNS), planned.at_once
    with file.claims() as claims, tqdm(total=len(task.indices), desc=task.name, unit="slice") as bar:
        while missing := _missing(file, task, planned.windows):
            computed = False
            for some in (missing[i : i + size] for i in range(0, len(missing), size)):
                with claims.claim([(task.name, str(task.indices[window.kept[0]])) for window in some]) as mine:
                    own = [window for window, is_mine in zip(some, mine, strict=True) if is_mine]
                    if left := _missing(file, task, own):
                        file.append(run(left))
                computed |= any(mine)
                bar.update(len(_done(file, task)) - bar.n)
            if not computed:
                time.sleep(POLL_SECONDS)
        bar.update(len(_done(file, task)) - bar.n)
    rows = {row["slice"]: row for row in file.rows() if row["volume"] == task.name}
    return [rows[str(index)] for index in task.indices]


def _missing(file: ResultFile, task: VolumeTask, windows: Sequence[Window]) -> list[Window]:
    """The windows of which some slice is not there."""
    done = _done(file, task)
    return [window for window in windows if not {task.indices[i] for i in window.kept} <= done]


def _done(file: ResultFile, task: VolumeTask) -> set[int]:
    return {int(row["slice"]) for row in file.rows() if row["volume"] == task.name}


def _export(config, workdir: Path, task: VolumeTask, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the maps as the image files asked for, and says where."""
    geometry = task.geometry or plain_geometry(task.spacing or (1.0, 1.0), unit=task.unit)
    method = f"scoreinv {config.sampler.method}, prior {Path(config.prior).stem}"
    written = write_maps(config.output.formats, workdir / task.name, arrays, geometry, method)
    # Of a series its folder.
    names = dict.fromkeys(path.parent.name if path.suffix == ".dcm" else path.name for path in written)
    print(f"{len(task.indices)} slices, volume.csv and {', '.join(names)} are in {workdir}")
    print(what_to_cite([build.with_preset(config.sampler).method]))
