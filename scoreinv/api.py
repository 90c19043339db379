"""From a scan to an image with an interval, without a configuration: what `import scoreinv` offers.

The functions take files, arrays and plain numbers; every number that they are not given has the default of the table of
fields. `--mode=reconstruct` calls `reconstruct` for each of its tasks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from ml_collections import ConfigDict

from scoreinv import build, parallel
from scoreinv.build.checks import check_values
from scoreinv.build.fields import default_config
from scoreinv.build.memory import check_memory
from scoreinv.build.scans import read_scan as scan_of_file
from scoreinv.build.tasks import fitted_prior, image_shape
from scoreinv.evaluation import intervals, trust
from scoreinv.evaluation.conformal import Correction, task_name
from scoreinv.evaluation.intervals import Interval
from scoreinv.evaluation.uncertainty import maps, object_region
from scoreinv.formats.export import plain_geometry, write_image
from scoreinv.formats.files import write_atomically
from scoreinv.formats.volume import Geometry
from scoreinv.operators.base import Measurement
from scoreinv.prior import Prior
from scoreinv.scans.scan import Scan

Images = Float[Array, "..."]
POSTERIOR = 2**30  # the purpose of draws of the posterior
PATTERNS = 2**30 + 1  # the purpose of the patterns of `open_fraction`


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
        network_calls: evaluations of the network, all draws together, without those that the interval rests on.
        seconds: time of these draws without compilation.
        interval: half width, level and origin of the interval about the image; None where none was asked for.
        contrast: contrast about each pixel that the measurement does not determine, which the prior filled in [H, W].
        on_prior: where that is above `interval.contrast` [H, W].
        open_fraction: share of a random pattern about each pixel that the measurement leaves open, from 0 to 1, for
            each of `interval.scales` [S, H, W]; None where none was asked for.

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
    interval: Interval | None = None
    contrast: Images | None = None
    on_prior: Bool[np.ndarray, "H W"] | None = None
    open_fraction: Images | None = None

    @property
    def low(self) -> Images | None:
        """The lower end of the interval [H, W, C]; without one the first quantile of the draws."""
        if self.interval is not None:
            return self.image - self.interval.half_width
        return None if self.quantiles is None else self.quantiles[0]

    @property
    def high(self) -> Images | None:
        """The upper end of the interval [H, W, C]; without one the last quantile of the draws."""
        if self.interval is not None:
            return self.image + self.interval.half_width
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
        if self.interval is not None:
            half_width = abs(width) * self.interval.half_width
            several |= {"interval": replace(self.interval, half_width=half_width)}
        if self.contrast is not None:
            several |= {"contrast": abs(width) * self.contrast}
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
    interval: Mapping[str, Any] | None = None,
    task: str = "",
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
        interval: fields of the configuration's section `interval`, as {"level": 0.8}; {"draws": 0} is fastest.
        task: name of the operator in a file of corrections, as "4x"; empty: the correction for all tasks of the file.
        progress: called with the number of images of each batch when it is drawn.
        sampler: further fields of the configuration's section `sampler`, as steps=99 or settings="churn=0.3".

    Returns:
        The mean of the draws, the draws themselves, an interval that rests on draws of the posterior (Langevin), and
        where the image rests on the prior, in the unit of the data. What is to be known is logged.

    Raises:
        ValueError: a scan, prior, method or field that cannot be used.

    >>> result = scoreinv.reconstruct("scan.npz", prior, method="dpir", samples=2, seed=0, steps=3)
    >>> result.image.shape, result.draws.shape, result.interval.about
    ((8, 8, 2), (2, 8, 8, 2), '90 % interval as drawn, checked on no subject')
    """
    scan = read_scan(scan) if isinstance(scan, str | Path) else scan
    scan = Scan("", scan) if isinstance(scan, Measurement) else scan
    section = {"method": method, "samples": samples, **sampler}
    own = dict(interval or {})
    check_values({"seed": seed} | {f"sampler.{name}": value for name, value in section.items()})
    check_values({f"interval.{name}": value for name, value in own.items()})
    config = default_config()
    config.sampler.update(section)
    config.interval.update(own)
    task = task_name(task, float(scan.measurement.noise_std))
    correction = build.correction(config.interval, prior if isinstance(prior, str) else "", task)
    if isinstance(prior, str):
        prior = build.load_prior(prior, config.sampler.remat)
    fitted = fitted_prior(config, prior, image_shape(scan.measurement))
    made = _draw(config.sampler, fitted, scan.measurement, seed, progress)
    made = _with_interval(made, config, fitted, scan.measurement, seed, correction, progress)
    made = _with_contrast(made, config.interval, scan)
    return _with_open_fraction(made, config.interval.scales, scan.measurement, seed).in_unit_of(scan)


def _draw(
    section: ConfigDict, prior: Prior, measurement: Measurement, seed: int, progress: Callable[[int], Any]
) -> Reconstruction:
    """The draws of a `config.sampler` section in [0, 1], a batch at a time."""
    make, settings = build.sampler(section, measurement)
    samples, keys = section.samples, partial(draw_keys, seed)
    check_memory((samples, *image_shape(measurement)), "lower sampler.samples")
    first, before = _first(make)(measurement, keys(1))
    sampler = make, settings | {"first": first[0]}
    draws, seconds = _images(sampler, keys, prior, measurement, samples, section.batch_size, progress)
    calls, seconds = samples * build.network_calls(make, settings), before + seconds
    if samples == 1:
        return Reconstruction(draws[0], None, None, draws, network_calls=calls, seconds=seconds)
    mean, std, quantiles = maps(draws, tuple(section.quantiles))
    return Reconstruction(mean, std, quantiles, draws, network_calls=calls, seconds=seconds)


def _with_interval(
    made: Reconstruction,
    config: ConfigDict,
    prior: Prior,
    measurement: Measurement,
    seed: int,
    correction: Correction | None,
    progress: Callable[[int], Any],
) -> Reconstruction:
    """The reconstruction with the interval about its image, for which draws of the posterior are made."""
    section = config.interval
    if not section.draws:
        return made
    sampler = build.posterior_sampler(config)
    keys = partial(draw_keys, seed, purpose=POSTERIOR)
    size = config.sampler.batch_size
    draws, seconds = _images(sampler, keys, prior, measurement, section.draws, size, progress)
    found = intervals.interval(draws, section.level, correction)
    calls = section.draws * build.network_calls(*sampler)
    logging.info("%s; %d network calls, %.1f s", found.about, calls, seconds)
    return replace(made, interval=found)


def _with_contrast(made: Reconstruction, section: ConfigDict, scan: Scan) -> Reconstruction:
    """The reconstruction with a map of what the prior filled in, and a warning where that is a large region."""
    contrast = _filled_in(scan.measurement, made.image)
    flagged = trust.flag(contrast, object_region(made.image), section.contrast)
    line = trust.warning(flagged, section.contrast, section.area)
    if line:
        logging.warning("%s", f"{scan.name}: {line}" if scan.name else line)
    return replace(made, contrast=contrast, on_prior=flagged.region)


def _with_open_fraction(
    made: Reconstruction, scales: Sequence[float], measurement: Measurement, seed: int
) -> Reconstruction:
    """The reconstruction with maps of what the measurement leaves open, by scale."""
    if not scales:
        return made
    key = draw_keys(seed, 1, PATTERNS)[0]
    return replace(made, open_fraction=_open_fraction(key, measurement, jnp.asarray(scales, jnp.float32)))


_filled_in = jax.jit(trust.filled_in)
_open_fraction = jax.jit(trust.open_fraction)


def _images(
    sampler: tuple[build.Sampler, Mapping[str, Any]],
    keys_of: Callable[[int], PRNGKeyArray],
    prior: Prior,
    measurement: Measurement,
    samples: int,
    batch_size: int,
    progress: Callable[[int], Any],
) -> tuple[Images, float]:
    """(draws of a sampler, seconds without compilation), a batch at a time."""
    make, settings = sampler
    at_once = build.draws_at_once(batch_size, image_shape(measurement))
    size = min(samples, at_once * jax.local_device_count())
    keys = keys_of(-(-samples // size) * size)
    run, seconds, drawn = _program(make), 0.0, []
    for start in range(0, samples, size):
        images, spent = run((prior, settings, measurement), keys[start : start + size])
        drawn.append(images)
        seconds += spent
        progress(min(size, samples - start))
    return jnp.concatenate(drawn)[:samples], seconds


def draw_keys(seed: int, count: int, purpose: int = 0) -> PRNGKeyArray:
    """The keys of the draws: children of a seed's third key, as the first two make mask and noise of simulated data.

    Args:
        seed: the seed.
        count: number of keys.
        purpose: 0: the draws of the method; another number above `count`: as many that have nothing to do with them.
    """
    key = jax.random.split(jax.random.key(seed), 3)[2]
    return jax.random.split(jax.random.fold_in(key, purpose) if purpose else key, count)


@lru_cache(maxsize=16)
def _program(make: build.Sampler) -> Callable[..., tuple[Any, float]]:
    """The compiled programs of one structure of a sampler: a scan of a shape seen before compiles nothing."""

    def draw(shared: Any, key: PRNGKeyArray) -> Images:
        prior, settings, measurement = shared
        return make(prior, settings)(key, measurement)

    return parallel.compiled_once(draw)


@lru_cache(maxsize=16)
def _first(make: build.Sampler) -> Callable[..., tuple[Any, float]]:
    """The compiled programs of the image that all draws start from."""
    return parallel.compiled_once(lambda measurement, _: make.start(measurement))


def save(path: str | Path, reconstruction: Reconstruction, method: str = "scoreinv") -> None:
    """Writes a reconstruction, as the name of the file says.

    Args:
        path: .npz: image, std, low, high, contrast, on_prior, open_fraction, draws, scale, offset, unit; .nii.gz: the
            image (of a complex one the magnitude) as one slice in its place, with -std, -low, -high and -prior-share,
            the contrast, beside it; .dcm or no ending: folders of DICOM files.
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
    geometry = reconstruction.geometry or plain_geometry(unit=reconstruction.unit)
    stem = path.with_name(path.name.removesuffix(ending))
    stem.parent.mkdir(parents=True, exist_ok=True)
    for name, plane in _planes(reconstruction).items():
        write_image(kinds.get(ending, "dicom"), stem.with_name(stem.name + name), plane[None], geometry, method)


def _planes(result: Reconstruction) -> dict[str, np.ndarray]:
    """What an image file shows of a reconstruction, by what is added to its name; of a complex image no interval."""
    image = np.asarray(result.image)
    if image.shape[-1] == 2:
        return {"": image[..., 0] + 1j * image[..., 1]}
    maps = {"": image, "-std": result.std, "-low": result.low, "-high": result.high}
    planes = {name: np.asarray(values)[..., 0] for name, values in maps.items() if values is not None}
    return planes if result.contrast is None else planes | {"-prior-share": np.asarray(result.contrast)}


def _write_npz(path: Path, result: Reconstruction) -> None:
    maps = ("image", "std", "quantiles", "low", "high", "contrast", "on_prior", "open_fraction", "draws")
    names = (*maps, "scale", "offset", "unit")
    np.savez_compressed(path, **{name: getattr(result, name) for name in names if getattr(result, name) is not None})
