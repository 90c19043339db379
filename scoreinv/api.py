"""From a scan to an image with an interval, without a configuration: what `import scoreinv` offers.

The functions take files, arrays and plain numbers; every number that they are not given has the default of the table of
fields. `--mode=reconstruct` calls `reconstruct` for each of its tasks.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from scoreinv import build, parallel
from scoreinv.build.checks import check_values
from scoreinv.build.fields import default_config
from scoreinv.build.scans import read_scan as scan_of_file
from scoreinv.build.tasks import fitted_prior, image_shape
from scoreinv.evaluation.uncertainty import maps
from scoreinv.formats.export import plain_geometry, write_image
from scoreinv.formats.files import write_atomically
from scoreinv.formats.volume import Geometry
from scoreinv.operators.base import Measurement
from scoreinv.prior import Prior
from scoreinv.scans.scan import Scan

Images = Float[Array, "..."]


@dataclass(frozen=True)
class Reconstruction:
    """What a sampler says of one scan, in the unit of its data.

    Attributes:
        image: mean of the draws [H, W, C]; a complex image has real and imaginary part as channels.
        std: standard deviation of the draws [H, W, C]; None of a single draw.
        quantiles: of the draws for each pixel [Q, H, W, C]; None of a single draw.
        draws: every image drawn [K, H, W, C].
        scale: an image x of the sampler, in [0, 1], became `scale * x + offset`.
        offset: see `scale`.
        unit: "" where the data say none.
        geometry: where the image lies and what it is from; None where the data say neither that nor the pixel spacing.
        network_calls: evaluations of the network, all draws together.
        seconds: time of the draws without compilation.

    >>> result = scoreinv.reconstruct(measurement, prior, samples=2, steps=3)
    >>> bool((result.low <= result.image).all() and (result.image <= result.high).all())
    True
    """

    image: Images
    std: Images | None
    quantiles: Images | None
    draws: Images
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    geometry: Geometry | None = None
    network_calls: int = 0
    seconds: float = 0.0

    @property
    def low(self) -> Images | None:
        """The lower end of the interval [H, W, C]: the first quantile of the draws, 5 % if not asked otherwise."""
        return None if self.quantiles is None else self.quantiles[0]

    @property
    def high(self) -> Images | None:
        """The upper end of the interval [H, W, C]: the last quantile of the draws, 95 % if not asked otherwise."""
        return None if self.quantiles is None else self.quantiles[-1]

    def normalized(self) -> "Reconstruction":
        """The same in the sampler's own [0, 1]."""
        return self._mapped(lambda x: (x - self.offset) / self.scale, 1 / self.scale, scale=1.0, offset=0.0, unit="")

    def in_unit_of(self, scan: Scan) -> "Reconstruction":
        """The same in the unit of a scan's data, where this one is in [0, 1]."""
        geometry = plain_geometry(scan.spacing, unit=scan.unit) if scan.spacing and not scan.geometry else scan.geometry
        about = {"scale": scan.scale, "offset": scan.offset, "unit": scan.unit, "geometry": geometry}
        return self._mapped(lambda x: scan.scale * x + scan.offset, scan.scale, **about)

    def _mapped(self, images: Callable[[Images], Images], width: float, **about: Any) -> "Reconstruction":
        several: dict[str, Any] = {"image": images(self.image), "draws": images(self.draws)}
        if self.std is not None and self.quantiles is not None:
            several |= {"std": abs(width) * self.std, "quantiles": images(self.quantiles)}
        return replace(self, **several, **about)


def read_scan(path: str | Path, fields: Mapping[str, Any] | None = None) -> Scan:
    """Reads measured data: k-space or a sinogram with its geometry, unit and noise.

    Args:
        path: the file.
        fields: fields of a configuration that say what the file does not, as in {"scan.noise_std": 0.02}.

    Returns:
        The scan.

    Raises:
        ValueError: a file that cannot be read or holds no measurement; an unknown field.

    >>> scan = scoreinv.read_scan("scan.npz", {"scan.noise_std": 0.01})
    >>> scan.measurement.y.shape
    (8, 8)
    """
    config = default_config()
    check_values(fields or {})
    config.update_from_flattened_dict({"measurement": str(path), **(fields or {})})
    return scan_of_file(Path(path), config)


def reconstruct(
    scan: Scan | Measurement | str | Path,
    prior: Prior | str = "brain-mri",
    method: str = "dpir",
    samples: int = 8,
    seed: int = 0,
    *,
    progress: Callable[[int], Any] = lambda drawn: None,
    **sampler: Any,
) -> Reconstruction:
    """Draws images that agree with a scan and a prior.

    Args:
        scan: measured data, a file of them, or a measurement that `simulate` made.
        prior: the prior, or what `load_prior` takes. It is fitted to the scan's size and channels.
        method: a published method by name; see `scoreinv --help-fields` on sampler.method.
        samples: number of draws K.
        seed: of the draws; the same seed, the same images.
        progress: called with the number of images of each batch when it is drawn.
        sampler: further fields of the configuration's section `sampler`, as steps=99 or settings="churn=0.3".

    Returns:
        The mean of the draws, their spread and the draws themselves, in the unit of the data.

    Raises:
        ValueError: a scan, prior, method or field that cannot be used.

    >>> result = scoreinv.reconstruct("scan.npz", prior, method="dpir", samples=2, seed=0, steps=3)
    >>> result.image.shape, result.draws.shape, result.network_calls
    ((8, 8, 2), (2, 8, 8, 2), 8)
    """
    scan = read_scan(scan) if isinstance(scan, str | Path) else scan
    scan = Scan("", scan) if isinstance(scan, Measurement) else scan
    section = {"method": method, "samples": samples, **sampler}
    check_values({"seed": seed} | {f"sampler.{name}": value for name, value in section.items()})
    config = default_config()
    config.sampler.update(section)
    if isinstance(prior, str):
        prior = build.load_prior(prior, config.sampler.remat)
    fitted = fitted_prior(config, prior, image_shape(scan.measurement))
    return _draw(config.sampler, fitted, scan.measurement, seed, progress).in_unit_of(scan)


def _draw(
    section: ConfigDict, prior: Prior, measurement: Measurement, seed: int, progress: Callable[[int], Any]
) -> Reconstruction:
    """The draws of a `config.sampler` section in [0, 1], a batch at a time."""
    make, settings = build.sampler(section, measurement)
    run, samples = _program(make), section.samples
    at_once = build.draws_at_once(section.batch_size, image_shape(measurement))
    size = min(samples, at_once * jax.local_device_count())
    keys = draw_keys(seed, -(-samples // size) * size)
    first, seconds = _first(make)(measurement, keys[:1])
    settings = settings | {"first": first[0]}
    calls, drawn = samples * build.network_calls(make, settings), []
    for start in range(0, samples, size):
        images, spent = run((prior, settings, measurement), keys[start : start + size])
        drawn.append(images)
        seconds += spent
        progress(min(size, samples - start))
    draws = jnp.concatenate(drawn)[:samples]
    if samples == 1:
        return Reconstruction(draws[0], None, None, draws, network_calls=calls, seconds=seconds)
    mean, std, quantiles = maps(draws, tuple(section.quantiles))
    return Reconstruction(mean, std, quantiles, draws, network_calls=calls, seconds=seconds)


def draw_keys(seed: int, count: int) -> PRNGKeyArray:
    """The keys of the draws: children of a seed's third key, as the first two make mask and noise of simulated data."""
    return jax.random.split(jax.random.split(jax.random.key(seed), 3)[2], count)


@lru_cache(maxsize=16)
def _program(make: build.Sampler) -> Callable[..., tuple[Any, float]]:
    """The compiled programs of one structure of a sampler: a scan of a shape seen before compiles nothing."""

    def draw(shared: Any, key: PRNGKeyArray) -> Images:
        prior, settings, measurement = shared
        return make(prior, settings)(key, measurement)

    return compiled_once(draw)


@lru_cache(maxsize=16)
def _first(make: build.Sampler) -> Callable[..., tuple[Any, float]]:
    """The compiled programs of the image that all draws start from."""
    return compiled_once(lambda measurement, _: make.start(measurement))


def compiled_once(fn: Callable[..., Any]) -> Callable[..., tuple[Any, float]]:
    """(shared, *batch) -> (results, seconds without compilation), compiled at the first call of each shape."""
    programs: dict[Any, Callable[..., Any]] = {}

    def run(shared: Any, *batch: Any) -> tuple[Any, float]:
        leaves, structure = jax.tree.flatten((shared, batch))
        signature = (structure, tuple((jnp.shape(x), jnp.result_type(x)) for x in leaves))
        if signature not in programs:
            programs[signature] = parallel.compile_batch(fn, shared, *batch)
        started = time.perf_counter()
        result = jax.block_until_ready(programs[signature](shared, *batch))
        return result, time.perf_counter() - started

    return run


def save(path: str | Path, reconstruction: Reconstruction, method: str = "scoreinv") -> None:
    """Writes a reconstruction, as the name of the file says.

    Args:
        path: .npz: image, std, quantiles, draws, scale, offset and unit; .nii.gz: the magnitude of the image as one
            slice in its place; .dcm or no ending: a folder of DICOM files.
        reconstruction: the reconstruction.
        method: what made it, for the header of NIfTI and DICOM files.

    Raises:
        ValueError: another ending.

    >>> scoreinv.save("image.nii.gz", scoreinv.reconstruct(measurement, prior, samples=2, steps=3))
    """
    path = Path(path)
    if path.name.endswith(".npz"):
        write_atomically(path, lambda name: _write_npz(name, reconstruction))
        return
    kinds = {".nii.gz": "nifti", ".dcm": "dicom"}
    ending = next((ending for ending in kinds if path.name.endswith(ending)), path.suffix)
    if ending and ending not in kinds:
        raise ValueError(
            f"cannot write {path.name!r}; give a name that ends in .npz, {', '.join(kinds)}, or in nothing"
        )
    image = np.asarray(reconstruction.image)
    plane = image[..., 0] if image.shape[-1] == 1 else image[..., 0] + 1j * image[..., 1]
    geometry = reconstruction.geometry or plain_geometry(unit=reconstruction.unit)
    stem = path.with_name(path.name.removesuffix(ending))
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_image(kinds.get(ending, "dicom"), stem, plane[None], geometry, method)


def _write_npz(path: Path, result: Reconstruction) -> None:
    names = ("image", "std", "quantiles", "draws", "scale", "offset", "unit")
    np.savez_compressed(path, **{name: getattr(result, name) for name in names if getattr(result, name) is not None})
