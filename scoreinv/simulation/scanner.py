"""Simulated measurements, and what makes them."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import PRNGKeyArray

from scoreinv.operators.base import Measurement
from scoreinv.typing import Image


class Simulated(NamedTuple):
    """A simulated measurement and what belongs to it.

    Attributes:
        truth: what reconstructions are compared with [H, W, C]; None where nobody knows it.
        measurement: all that a method gets.
        metal: 1 on pixels of metal [H, W, 1], which are not compared; None where there is none.
        uncorrected: the scanner's own image [H, W, 1], where methods compete with one.
    """

    truth: Image | None
    measurement: Measurement
    metal: Image | None = None
    uncorrected: Image | None = None


# (key, image [s H, s W, C] in [0, 1], s being `operator.oversample`) -> its measurement.
Scanner = Callable[[PRNGKeyArray, Image], Simulated]
