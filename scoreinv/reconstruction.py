"""What a reconstruction is made of: image, spread, interval and what rests on the prior; and its image files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from scoreinv.evaluation import intervals, trust
from scoreinv.evaluation.conformal import Correction
from scoreinv.evaluation.intervals import Interval
from scoreinv.evaluation.metrics import magnitude
from scoreinv.evaluation.uncertainty import maps, object_region
from scoreinv.formats.export import plain_geometry, write_maps
from scoreinv.formats.files import write_atomically
from scoreinv.formats.volume import Geometry
from scoreinv.operators.base import Measurement
from scoreinv.scans.scan import Scan

Images = Float[Array, "..."]
KINDS = {".nii.gz": "nifti", ".dcm": "dicom"}


@dataclass(frozen=True)
class Reconstruction:
    """What a sampler says of one scan, in the unit of its data.

    Attributes:
        image: mean of the draws [H, W, C]; a complex image has real and imaginary part as channels.
        std: standard deviation of the draws [H, W, C], of complex ones that of their magnitude [H, W, 1], as in all
            that follows; None of a single draw.
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
            low = shown(self.image) - self.interval.half_width
            return low if self.image.shape[-1] == 1 else low.clip(0)
        return None if self.quantiles is None else self.quantiles[0]

    @property
    def high(self) -> Images | None:
        """The upper end of the interval [H, W, C]; without one the last quantile of the draws."""
        if self.interval is not None:
            return shown(self.image) + self.interval.half_width
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


def shown(images: Images) -> Images:
    """What is looked at of images [..., C]: themselves, of complex ones the magnitude [..., 1]."""
    return images if images.shape[-1] == 1 else magnitude(images)[..., None]


def of_draws(draws: Images, levels: Sequence[float], **about: Any) -> Reconstruction:
    """The mean of draws [K, H, W, C] in [0, 1] and their spread.

    Args:
        draws: of a sampler.
        levels: probabilities of the quantiles.
        about: further fields of the reconstruction.
    """
    if len(draws) == 1:
        return Reconstruction(draws[0], None, None, draws, **about)
    _, std, quantiles = maps(shown(draws), tuple(levels))
    return Reconstruction(draws.mean(0), std, quantiles, draws, **about)


def with_doubts(
    made: Reconstruction,
    measurement: Measurement,
    posterior: Images | None,
    level: float,
    threshold: float,
    correction: Correction | None = None,
) -> Reconstruction:
    """A reconstruction in [0, 1] with the interval about it and what of it rests on the prior.

    Args:
        made: the reconstruction.
        measurement: what it was made from.
        posterior: draws of the posterior [K, H, W, C] that the interval rests on; None: there is no interval.
        level: probability that the interval is meant to hold.
        threshold: contrast from which a pixel rests on the prior, in the unit of the image.
        correction: of the interval.
    """
    contrast = _filled_in(measurement, made.image)
    flagged = trust.flag(contrast, object_region(made.image), threshold)
    found = None if posterior is None else intervals.interval(shown(posterior), level, correction)
    return replace(made, interval=found, contrast=contrast, on_prior=flagged.region)


def with_open_fraction(
    key: PRNGKeyArray, made: Reconstruction, measurement: Measurement, scales: Sequence[float]
) -> Reconstruction:
    """A reconstruction with maps of the share of random patterns, by their scale, that the measurement leaves open."""
    if not scales:
        return made
    return replace(made, open_fraction=_open_fraction(key, measurement, jnp.asarray(scales, jnp.float32)))


_filled_in = jax.jit(trust.filled_in)
_open_fraction = jax.jit(trust.open_fraction)


def doubt(made: Reconstruction, threshold: float, area: int) -> str:
    """One line where more than `area` connected pixels of an image in [0, 1] rest on the prior, else nothing.

    Args:
        made: the reconstruction, with its contrast.
        threshold: as in `with_doubts`.
        area: pixels.
    """
    if made.contrast is None:
        return ""
    return trust.warning(trust.flag(made.contrast, object_region(made.image), threshold), threshold, area)


def planes(made: Reconstruction, phase: bool = False, scales: Sequence[float] = ()) -> dict[str, np.ndarray]:
    """What image files show of a reconstruction, by name: maps [H, W] in its unit.

    Args:
        made: the reconstruction; of a complex image the magnitude is shown.
        phase: whether of a complex image the phase is shown too, in radians.
        scales: of the maps in `open_fraction`; each is shown as open-<scale>.
    """
    shown_maps = {"image": shown(made.image), "std": made.std, "low": made.low, "high": made.high}
    found = {name: np.asarray(values)[..., 0] for name, values in shown_maps.items() if values is not None}
    if made.contrast is not None:
        found["contrast"] = np.asarray(made.contrast)
    if made.open_fraction is not None:
        found |= {open_name(s): np.asarray(x) for s, x in zip(scales, made.open_fraction, strict=False)}
    if phase and made.image.shape[-1] == 2:
        found["phase"] = np.arctan2(np.asarray(made.image)[..., 1], np.asarray(made.image)[..., 0])
    return found


def open_name(scale: float) -> str:
    """The name of the map of what the measurement leaves open of patterns of a scale in pixels."""
    return f"open-{scale:g}"


def save(path: str | Path, reconstruction: Reconstruction, method: str = "scoreinv", phase: bool = False) -> None:
    """Writes a reconstruction, as the name of the file says.

    Args:
        path: .npz: image, std, low, high, contrast, on_prior, open_fraction, draws, scale, offset, unit; .nii.gz: the
            image (of a complex one the magnitude) as one slice in its place, with -std, -low, -high and -contrast
            beside it; .dcm or no ending: folders of DICOM files.
        reconstruction: the reconstruction.
        method: what made it, for the header of NIfTI and DICOM files.
        phase: whether of a complex image the phase is written too, in radians, as -phase.

    Raises:
        ValueError: another ending.

    >>> scoreinv.save("image.nii.gz", scoreinv.reconstruct(measurement, prior, samples=2, steps=3))
    """
    path = Path(path)
    if path.name.endswith(".npz"):
        write_atomically(path, lambda name: _write_npz(name, reconstruction))
        return
    ending = next((ending for ending in KINDS if path.name.endswith(ending)), path.suffix)
    if ending and ending not in KINDS:
        raise ValueError(
            f"cannot write {path.name!r}; give a name that ends in .npz, {', '.join(KINDS)}, or in nothing"
        )
    stem = path.with_name(path.name.removesuffix(ending))
    geometry = reconstruction.geometry or plain_geometry(unit=reconstruction.unit)
    found = {"" if name == "image" else name: plane[None] for name, plane in planes(reconstruction, phase).items()}
    write_maps((KINDS.get(ending, "dicom"),), stem, found, geometry, method)


def _write_npz(path: Path, result: Reconstruction) -> None:
    maps = ("image", "std", "quantiles", "low", "high", "contrast", "on_prior", "open_fraction", "draws")
    names = (*maps, "scale", "offset", "unit")
    np.savez_compressed(path, **{name: getattr(result, name) for name in names if getattr(result, name) is not None})
