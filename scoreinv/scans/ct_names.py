"""What the arrays of a CT scan are called, here and elsewhere."""

import numpy as np

from scoreinv.formats.arrays import Arrays

# The documented name -> what else it goes by, without case; of a path the last part counts.
NAMES: dict[str, tuple[str, ...]] = {
    "sinogram": ("sino", "line_integrals", "sinord", "sinograms"),
    "counts": ("intensities", "raw", "readings"),
    "transmission": ("transmissions",),
    "flats": ("flat", "data_white", "white", "flat_field", "flatfield", "flats_field"),
    "darks": ("dark", "data_dark", "dark_field", "darkfield"),
    "angles": ("theta", "angle"),
    "angles_radians": ("anglesrad", "angles_rad", "theta_rad"),
    "angles_degrees": ("angles_deg", "theta_deg", "angle_deg", "anglesdeg"),
    "mask": (),
    "shape": ("image_shape", "volume_shape"),
    "axis": ("rotation_axis", "center_of_rotation", "centre_of_rotation", "rotation_center", "cor"),
    "source_to_axis": (
        "source_origin",
        "distance_source_origin",
        "distancesourceorigin",
        "distance_source_origin_mm",
        "dso",
        "sod",
    ),
    "source_to_detector": (
        "source_detector",
        "distance_source_detector",
        "distancesourcedetector",
        "distance_source_detector_mm",
        "dsd",
        "sdd",
    ),
    "detector_pitch": ("detector_spacing", "detector_spacing_mm", "pixelsizepost", "detector_pixel_size", "ddetector"),
    "pixel": ("pixel_size", "voxel_size", "effectivepixelsizepost", "effective_pixel_mm"),
    "curved": (),
    "reversed": (),
    "open_beam": ("i0", "photons", "blank", "air"),
    "water": ("mu_water", "water_attenuation"),
}
_KNOWN = {other: name for name, others in NAMES.items() for other in (name, *others)}
# A Data Exchange file (De Carlo et al. 2014) holds detector readings in `exchange/data`, and angles in degrees.
EXCHANGE = {"exchange/data": "counts", "exchange/theta": "angles_degrees"}


def known_names(arrays: Arrays) -> tuple[Arrays, tuple[str, ...]]:
    """The arrays by their documented names, and the names that are not understood.

    Two names for one thing: the documented one wins, the other is not understood.
    """
    found: Arrays = {}
    unknown = []
    for name in sorted(arrays, key=lambda name: name not in NAMES):
        known = EXCHANGE.get(name) or _KNOWN.get(name.rsplit("/", 1)[-1].lower())
        if known is None or known in found:
            unknown.append(name)
        else:
            found[known] = arrays[name]
    return found, tuple(unknown)


def number(arrays: Arrays, name: str) -> float:
    """A single number of a file, 0 where it has none of that name.

    Raises:
        ValueError: several numbers, or one that is not finite.
    """
    values = np.ravel(arrays.get(name, np.zeros(1)))
    if values.size != 1 or not np.isfinite(values[0]):
        raise ValueError(f"{name} holds {values.size} numbers, {values[:3]}; give one finite number")
    return float(values[0])
