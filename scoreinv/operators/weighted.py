"""Rays of unequal noise: the rows of a transform divided by their standard deviation, so that every method weighs them.

With y = T x + n, n of covariance std^2 W^-1 and diagonal W, the whitened data W^(1/2) y = W^(1/2) T x + n' have noise
of one level std. Whatever a method does with |y - A x|^2 it then does with the likelihood of the data.
"""

from typing import Protocol, runtime_checkable

import flax.struct
from jaxtyping import Array, Float

from scoreinv.operators.base import Coefficients, LinearOperator, Mask, Measurement, Transform
from scoreinv.typing import Image


@runtime_checkable
class FilteredTransform(Transform, Protocol):
    """A transform of rays, with filtered back-projection."""

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the image."""
        ...

    @property
    def angles(self) -> Float[Array, " views"]:
        """Of the views, radians."""
        ...

    def fbp(self, z: Coefficients, mask: Mask | None = None, window: str = "ramp") -> Image:
        """Filtered back-projection of the measured rays; window "ramp" or "hann"."""
        ...


@flax.struct.dataclass
class WeightedTransform:
    """W^(1/2) T.

    Attributes:
        transform: T, of rays.
        root: square roots of the weights, positive; broadcasts to the coefficients.
    """

    __no_type_check__ = True  # see LinearOperator

    transform: FilteredTransform
    root: Float[Array, "..."]

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.transform.shape

    @property
    def angles(self) -> Float[Array, " views"]:
        """Of the views, radians."""
        return self.transform.angles

    def forward(self, x: Image) -> Coefficients:
        """W^(1/2) T x."""
        return self.root * self.transform.forward(x)

    def adjoint(self, z: Coefficients) -> Image:
        """T^H W^(1/2) z."""
        return self.transform.adjoint(self.root * z)

    def inverse(self, z: Coefficients, mask: Mask | None = None) -> Image:
        """T^-1 of the data as they were measured."""
        return self.transform.inverse(z / self.root, mask)

    def fbp(self, z: Coefficients, mask: Mask | None = None, window: str = "ramp") -> Image:
        """Filtered back-projection of the data as they were measured; see `RadonTransform.fbp`."""
        return self.transform.fbp(z / self.root, mask, window)

    def pseudo_inverse(self, mask: Mask, z: Coefficients) -> Image:
        """A^+ z for A = P(mask) W^(1/2) T: that of P(mask) T for data which an image can have made."""
        return self.transform.pseudo_inverse(mask, z / self.root)


def as_measured(measurement: Measurement) -> Measurement:
    """The same rays without their weights, for methods that compare neighbouring rays with one another.

    Args:
        measurement: of any transform; one without weights is returned as it is.
    """
    transform = measurement.operator.transform
    if not isinstance(transform, WeightedTransform):
        return measurement
    operator = LinearOperator(measurement.operator.mask, transform.transform)
    return Measurement(measurement.y / transform.root, operator, measurement.noise_std)
