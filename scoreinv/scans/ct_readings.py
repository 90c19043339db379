"""What a CT detector read, as line integrals with their weights and noise."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d, median_filter

from scoreinv.formats.arrays import Arrays, listed
from scoreinv.scans import counts, ct_checks
from scoreinv.scans.ct_geometry import GeometrySettings
from scoreinv.scans.ct_names import number

QUANTITIES = ("counts", "transmission", "line_integrals")
LARGEST = 1e30  # number in single precision, with room
MOST_NEGATIVE = 0.05  # share of readings without their dark field that are below zero
MOST_SHARE = 1.2  # of the open beam, which noise and scatter may exceed
STORED = ("counts", "transmission", "sinogram")


@dataclass(frozen=True)
class SinogramSettings:
    """What a user may say about a sinogram that the file does not; what is negative, 0 or empty is not said.

    Attributes:
        noise_std: standard deviation of the noise on each line integral, in the unit of the data; negative: estimated.
        quantity: what `sinogram` holds, one of `QUANTITIES`.
        open_beam: reading of a detector without an object, in photons where it is known.
        water: attenuation of water per mm; the image is then in Hounsfield units.
        window: Hounsfield units that the prior knows as 0 and 1.
        rings: whether stripes are removed.
        metal: what is brighter in the image of all rays, in its unit, is metal; 0: there is none.
        row: of a detector with several rows; -1: the middle one.
        geometry: see there.
    """

    noise_std: float = -1.0
    quantity: str = ""
    open_beam: float = 0.0
    water: float = 0.0
    window: tuple[float, float] = (-1024.0, 1024.0)
    rings: bool = False
    metal: float = 0.0
    row: int = -1
    geometry: GeometrySettings = field(default_factory=GeometrySettings)


@dataclass(frozen=True)
class Rays:
    """Line integrals.

    Attributes:
        p: [views, detectors].
        roots: square roots of the rays' weights, where they differ.
        noise_std: of p times `roots`.
        notes: what was done.
    """

    p: Float[np.ndarray, "views detectors"]
    roots: Float[np.ndarray, "views detectors"] | None
    noise_std: float
    notes: tuple[str, ...] = ()


def line_integrals(arrays: Arrays, views: int, settings: SinogramSettings) -> Rays:
    """The line integrals of a file.

    Args:
        arrays: of the file, by their documented names.
        views: number of angles.
        settings: what the file does not say.

    Raises:
        ValueError: arrays of other types or shapes, NaN or Inf, readings without their logarithm, or a noise level
            above the data.
    """
    readings, quantity, notes = _readings(arrays, views, settings)
    p, roots, said = _line_integrals(arrays, readings, quantity, settings)
    noise_std, more = _noise(p, roots, settings.noise_std)
    return Rays(p, roots, noise_std, (*notes, *said, *more))


def first_axis(arrays: Arrays) -> int:
    """Length of the first axis of the readings."""
    return next((_plain(arrays[name]).shape[0] for name in STORED if name in arrays and arrays[name].size > 1), 0)


def _plain(readings: np.ndarray) -> np.ndarray:
    """Without axes of one entry, where there are more than two."""
    return np.squeeze(readings) if readings.ndim > 2 else readings


def _readings(arrays, views: int, settings) -> tuple[np.ndarray, str, list[str]]:
    """(readings [views, detectors], what they are, notes)."""
    stored = next((name for name in STORED if name in arrays), None)
    if stored is None:
        raise ValueError(f"the file holds {', '.join(arrays)}; give sinogram, counts or transmission, and angles")
    y, notes = _plain(arrays[stored]), []
    if y.ndim == 3 and not np.iscomplexobj(y) and y.shape[0] == views:
        row = y.shape[1] // 2 if settings.row == -1 else settings.row
        if not 0 <= row < y.shape[1]:
            raise ValueError(f"slice_index={settings.row}, but the detector has {y.shape[1]} rows")
        notes.append(f"took row {row} of the detector's {y.shape[1]}")
        y = y[:, row]
    if y.ndim != 2 or np.iscomplexobj(y) or views not in y.shape or min(y.shape) < 1:
        raise ValueError(
            f"sinogram is {y.dtype} of shape {y.shape} with {views} angles; give [views, detectors], [views]"
        )
    y, said = ct_checks.oriented(y.astype(np.float64), views)
    bad = int(np.sum(~np.isfinite(y)))
    if bad and stored == "sinogram":
        raise ValueError(f"sinogram holds NaN or Inf in {bad} of {y.size} samples; zero them in data and mask")
    peak = float(np.abs(y).max(initial=0, where=np.isfinite(y)))
    if peak and not 1 / LARGEST < peak < LARGEST:
        raise ValueError(f"{stored} reaches {peak:.3g}; give it in a unit in which it stays below {LARGEST:g}")
    quantity = settings.quantity or {"sinogram": "line_integrals"}.get(stored, stored)
    if not settings.quantity and stored == "sinogram" and ct_checks.is_before_logarithm(y):
        raise ValueError(
            f"sinogram is largest beside the object ({np.quantile(y, 0.99):.4g}, within {y.min():.4g}): these are "
            "counts or transmission, not line integrals -log(I / I0); set scan.quantity=counts or transmission "
            "(line_integrals takes them as they are)"
        )
    return y, quantity, notes + ([said] if said else [])


def _line_integrals(arrays, readings, quantity, settings) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """(line integrals, root weights of the rays where they differ, notes)."""
    if quantity == "line_integrals":
        p, passed, beam, notes = readings, None, np.ones(readings.shape[1]), list[str]()
    else:
        p, passed, beam, notes = _logarithm(arrays, readings, quantity, settings)
    roots = None if passed is None else counts.root_weights(passed)
    columns = counts.bad_columns(p, beam)
    bad = columns | ~np.isfinite(p)
    if columns.any():
        notes.append(f"detector columns {listed(tuple(map(str, np.flatnonzero(columns))))} are dead or stuck: not used")
    if bad[:, ~columns].any():
        notes.append(f"{int(bad[:, ~columns].sum())} single readings are not finite: not used")
    if bad.any():
        p, passed = counts.filled(p, bad), counts.filled(np.ones_like(p) if passed is None else passed, bad)
        roots = counts.root_weights(passed, bad)
    return (counts.without_rings(p) if settings.rings else p), roots, notes


def _logarithm(arrays, readings, quantity, settings) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """(line integrals, what passed, open beam of each column, notes)."""
    notes: list[str] = []
    flats, darks = (_of_row(arrays.get(name), settings.row) for name in ("flats", "darks"))
    photons = settings.open_beam
    if not photons:
        readings, photons = _to_one_beam(arrays, readings)
    if flats is None and quantity == "counts":
        if not np.any(photons):
            photons = counts.open_beam(readings)
            notes.append(f"the open beam is {photons:.5g}, as the outermost detectors read; scan.open_beam sets it")
        flats = np.asarray(photons)
    negative = float(np.mean(readings < 0))
    if darks is None and negative > MOST_NEGATIVE:
        raise ValueError(
            f"{100 * negative:.0f} % of the {quantity} are negative; give what the detector read, and `darks` if that "
            "is to be subtracted from it"
        )
    beside = counts.open_beam(readings)
    if flats is None and quantity == "transmission" and beside > MOST_SHARE:
        notes.append(f"transmission reads {beside:.4g} beside the object: divided by that, as it is a share of 1")
        readings = readings / beside
    share, beam = counts.transmission(readings, flats, darks)
    p = np.where(np.isfinite(share), counts.line_integrals(share, photons if np.any(photons) else np.inf), np.nan)
    # Columns differ by their gain, which is no photons, and by the beam, which is smooth. Weights of a ray's own noise
    # would favour rays that by chance passed more.
    smooth = gaussian_filter1d(np.where(np.isfinite(p), p, 0), 1.5, axis=1)
    return p, median_filter(beam, 31, mode="nearest") * np.exp(-smooth), beam, notes


def _to_one_beam(arrays, readings) -> tuple[np.ndarray, float | np.ndarray]:
    """(readings as under one beam, the open beam: one number, or one for each column)."""
    beam = np.ravel(arrays.get("open_beam", np.zeros(1))).astype(np.float64)
    if beam.size in readings.shape and beam.size > 1:
        if not np.all(np.isfinite(beam) & (beam > 0)):
            raise ValueError("open_beam holds numbers that are not positive; give one for each view, or one for all")
        of_views = beam.size == len(readings)
        return (readings * (beam.mean() / beam)[:, None], beam.mean()) if of_views else (readings, beam)
    return readings, number(arrays, "open_beam")


def _of_row(fields, row: int):
    if fields is None or fields.ndim < 3:
        return fields
    return fields[:, fields.shape[1] // 2 if row == -1 else row]


def _noise(p, roots, given: float) -> tuple[float, list[str]]:
    estimated = ct_checks.noise_level(p, roots)
    large = float(np.quantile(np.abs(p if roots is None else roots * p), 0.99))
    if given < 0:
        return estimated, [f"noise of {estimated:.3g} on each ray, estimated from neighbouring views and detectors"]
    if given > large:
        raise ValueError(
            f"noise_std={given:g}, but the data themselves are {large:.3g}; give it in their unit, or leave it out: "
            f"their neighbouring rays say {estimated:.3g}"
        )
    wrong = estimated > 0 and not estimated / 4 <= given <= 4 * estimated
    return given, [f"noise_std={given:g}, while neighbouring rays differ as by {estimated:.3g}"] if wrong else []
