"""The geometry of a CT scanner in its own unit of length, and the transform that it makes.

the axis of rotation is the origin, u to the right, v upwards; the view of angle 0 looks straight down
parallel: the ray through column j is u cos(angle) + v sin(angle) = (j - axis) pitch
fan:      the source is at source_to_axis (-sin(angle), cos(angle)), the middle of the detector opposite of it;
          flat: gamma = atan((j - axis) pitch / source_to_detector), curved about the source: the arc itself
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from scoreinv.operators.ct import RadonTransform, radon_transform
from scoreinv.operators.fan import FanBeamTransform, fan_transform

# Widest gap between the views of a whole turn, radians.
WHOLE_TURN = np.deg2rad(30)
RayTransform = RadonTransform | FanBeamTransform


@dataclass(frozen=True)
class BeamGeometry:
    """Where source, detector and image are; lengths in mm, or any other unit that all of them have.

    Attributes:
        angles: of the views [views], radians, counterclockwise, in any order and range.
        shape: (H, W) of the image.
        detectors: number of detector columns.
        pixel: side of an image pixel.
        pitch: width of a detector column, on the detector.
        axis: column, from 0 and not always whole, that the ray through the axis of rotation meets; None: the middle.
        source_to_axis: 0 for parallel rays.
        source_to_detector: 0 for parallel rays.
        curved: the detector is an arc about the source.
        reversed: columns are counted towards the left of a view.
        centre: (right, up) of the image's centre from the axis.
    """

    angles: Float[np.ndarray, " views"]
    shape: tuple[int, int]
    detectors: int
    pixel: float = 1.0
    pitch: float = 1.0
    axis: float | None = None
    source_to_axis: float = 0.0
    source_to_detector: float = 0.0
    curved: bool = False
    reversed: bool = False
    centre: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self):
        lengths = (self.pixel, self.pitch)
        if not all(0 < length < np.inf for length in lengths) or self.detectors < 1 or min(self.shape) < 1:
            raise ValueError(
                f"pixels of {self.pixel:g}, {self.detectors} columns of {self.pitch:g}, image {self.shape}; give "
                "positive numbers"
            )
        if self.is_fan and not 0 < self.source_to_axis < self.source_to_detector < np.inf:
            raise ValueError(
                f"source to axis {self.source_to_axis:g}, source to detector {self.source_to_detector:g}; give both, "
                "the detector beyond the axis"
            )

    @property
    def is_fan(self) -> bool:
        """Whether the rays come from one point."""
        return self.source_to_axis != 0 or self.source_to_detector != 0

    @property
    def columns(self) -> Float[np.ndarray, " columns"]:
        """Position of each column's middle on the detector, from where the ray through the axis meets it."""
        axis = (self.detectors - 1) / 2 if self.axis is None else self.axis
        return (np.arange(self.detectors) - axis) * self.pitch * (-1 if self.reversed else 1)

    @property
    def fan_angles(self) -> Float[np.ndarray, " columns"]:
        """gamma of each column, radians."""
        along = self.columns / self.source_to_detector
        return along if self.curved else np.arctan(along)

    @property
    def pitch_at_axis(self) -> float:
        """Distance of neighbouring rays where they pass the axis."""
        return self.pitch * self.source_to_axis / self.source_to_detector if self.is_fan else self.pitch

    @property
    def is_turn(self) -> bool:
        """Whether the views go all the way round, so that an offset detector's far side sees every line."""
        ordered = np.sort(np.mod(self.angles, 2 * np.pi))
        return float(np.diff(ordered, append=ordered[0] + 2 * np.pi).max()) < WHOLE_TURN

    @property
    def seen_radius(self) -> float:
        """Radius of the circle about the axis of which every line is seen: in each view, or in one of a whole turn."""
        edges = self.columns[[0, -1]] + np.sign(self.columns[[0, -1]]) * self.pitch / 2
        if self.is_fan:
            along = edges / self.source_to_detector
            edges = self.source_to_axis * np.sin(along if self.curved else np.arctan(along))
        near, far = sorted((edges.max(), -edges.min()))
        return float(max(0.0, far if self.is_turn and near > 0 else near))


def projector(geometry: BeamGeometry, steps: int = 3, averages: bool = False) -> RayTransform:
    """The transform of a scanner's geometry (host side), in intensity times pixel length.

    Args:
        geometry: the geometry.
        steps: conjugate-gradient steps of the pseudo-inverse.
        averages: the image holds averages over pixels, as that of a measured object; see `radon_transform`.

    Raises:
        ValueError: a geometry that cannot be.
    """
    angles, pixel = np.asarray(geometry.angles, np.float64), geometry.pixel
    centre = (geometry.centre[0] / pixel, geometry.centre[1] / pixel)
    if geometry.is_fan:
        return fan_transform(
            angles, geometry.shape, geometry.fan_angles, geometry.source_to_axis / pixel, steps, centre, averages
        )
    # The line (angle, s) is the line (angle + pi, -s): columns that count to the left are those of the view opposite.
    angles = angles + (np.pi if geometry.reversed else 0)
    axis = (geometry.detectors - 1) / 2 if geometry.axis is None else geometry.axis
    middle = ((geometry.detectors - 1) / 2 - axis) * geometry.pitch / pixel
    offset = middle - (centre[0] * np.cos(angles) + centre[1] * np.sin(angles)) if any(centre) else middle
    return radon_transform(angles, geometry.shape, geometry.detectors, steps, geometry.pitch / pixel, offset, averages)
