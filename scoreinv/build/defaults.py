"""What a sampler derives from its measurement, so that users set nothing; what `config.sampler` gives wins."""

from typing import NamedTuple

import jax
import numpy as np

from scoreinv.operators.base import LinearOperator, Measurement
from scoreinv.samplers.conditioning import image_noise

MOST_AT_ONCE, PIXELS_AT_ONCE = 8, 512 * 512
NOISELESS = 0.003  # in the image: less is as good as none
WEDGE = 30.0  # degrees


class Defaults(NamedTuple):
    """Fields of `config.sampler` where it holds 0 or nothing; these for methods that nothing is derived for."""

    steps: int = 39
    sigma_max: float = 0.4
    sigma_min: float = 0.01
    start: str = "pseudo_inverse"


def default_settings(noise: float, gap: float = 0.0) -> Defaults:
    """Where the default sampler starts and ends, and in how many steps: the rule that validation slices gave.

    From the TV image one of 76 slices ended below tuned TV; from the pseudo-inverse at 0.4, the default
    before, five of fourteen did over 90 degrees alone (experiments/default_setting/README.md). A low level keeps to
    what the start shows and invents less. A missing wedge, which TV fills worst, takes 0.4. Data without noise are
    followed to half the last level.

    Args:
        noise: standard deviation of the noise in the image, intensities in [0, 1].
        gap: widest angle without a view, degrees.

    Returns:
        The settings.
    """
    return Defaults(sigma_max=0.4 if gap > WEDGE else 0.2, sigma_min=0.01 if noise > NOISELESS else 0.005, start="tv")


def widest_gap(operator: LinearOperator) -> float:
    """The widest angle between neighbouring measured views, degrees; 0 for transforms without views."""
    angles = getattr(operator.transform, "angles", None)
    if angles is None:
        return 0.0
    mask = np.atleast_2d(np.asarray(operator.mask))
    seen = np.broadcast_to(mask, (len(angles), mask.shape[1])).any(1)
    ordered = np.sort(np.mod(np.rad2deg(np.asarray(angles)[seen]), 180))
    return float(np.diff(ordered, append=ordered[0] + 180).max())


def noise_in_image(measurement: Measurement) -> float:
    """The noise of a measurement per direction that it sees, in the unit of the image (host side)."""
    return float(_image_noise(measurement)) if float(measurement.noise_std) else 0.0


_image_noise = jax.jit(image_noise)


def draws_at_once(batch_size: int, shape: tuple[int, ...]) -> int:
    """Draws per call of the compiled program: as given, or for 0 up to eight with 512 x 512 pixels together.

    On two cores larger batches gain no time, and the network's activations, some 400 bytes a pixel, stay below 200 MiB.

    Args:
        batch_size: as configured.
        shape: (H, W, C) of the image.
    """
    return batch_size or max(1, min(MOST_AT_ONCE, PIXELS_AT_ONCE // (shape[0] * shape[1])))
