"""A block of slices as one image [slices, H, W, C]: an operator for all of them, coupled along z.

Neighbouring slices of a volume resemble each other. A Gaussian on their differences, of standard deviation tau in each
pixel (the quadratic form of the total variation along z of DiffusionMBIR, Chung et al. 2023), is a linear measurement
of the block: of zeros, with noise tau. As rows of the operator it reaches every method that minimises or samples a data
term, and none of them has to know of volumes. The slices keep one transform: its tables are not copied.
"""

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact

from scoreinv.operators.base import LinearOperator, Mask, Measurement, Transform

Block = Float[Array, "slices H W C"]
Stack = Inexact[Array, " rows"]


@flax.struct.dataclass
class StackedTransform:
    """T of every slice, and the differences along z, in one vector [slices K + slices H W C].

    Attributes:
        transform: T of one slice; with `own` its leaves have a first axis of slices (coil maps, say).
        weight: noise_std / tau, which scales differences to the noise of the data; 0: slices are independent.
        first: weight of the first slice's difference from the slice before the block; 0: there is none.
        shape: of the coefficients of one slice.
        image: (H, W, C) of a slice.
        own: whether each slice has a transform of its own.
    """

    __no_type_check__ = True  # see LinearOperator

    transform: Transform
    weight: Float[Array, ""]
    first: Float[Array, ""]
    shape: tuple[int, ...] = flax.struct.field(pytree_node=False)
    image: tuple[int, int, int] = flax.struct.field(pytree_node=False)
    own: bool = flax.struct.field(pytree_node=False, default=False)

    def _each(self, method: str, *args):
        # Closed over where shared, so that the batch does not repeat its tables.
        if self.own:
            return jax.vmap(lambda t, *a: getattr(t, method)(*a))(self.transform, *args)
        return jax.vmap(getattr(self.transform, method))(*args)

    def _split(self, z):
        count = z.size // (_size(self.shape) + _size(self.image))
        data, differences = jnp.split(z, [count * _size(self.shape)])
        return data.reshape(count, *self.shape), differences.real.reshape(count, *self.image)

    def forward(self, x: Block) -> Stack:
        """(T x_s for every s, then the weighted x_s - x_{s-1})."""
        data = self._each("forward", x)
        weights = jnp.full(x.shape[0], self.weight).at[0].set(self.first)[:, None, None, None]
        before = jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])
        return jnp.concatenate([data.ravel(), (weights * (x - before)).ravel().astype(data.dtype)])

    def adjoint(self, z: Stack) -> Block:
        """The exact adjoint of `forward`."""
        data, differences = self._split(z)
        weights = jnp.full(len(data), self.weight).at[0].set(self.first)[:, None, None, None]
        weighted = weights * differences
        after = jnp.concatenate([weighted[1:], jnp.zeros_like(weighted[:1])])
        return self._each("adjoint", data) + weighted - after

    def inverse(self, z: Stack, mask: Mask | None = None) -> Block:
        """T^-1 of each slice by itself."""
        data, _ = self._split(z)
        if mask is None:
            return self._each("inverse", data)
        return self._each("inverse", data, self._split(jnp.broadcast_to(mask, z.shape))[0].real)

    def pseudo_inverse(self, mask: Mask, z: Stack) -> Block:
        """A^+ of each slice by itself: the start of a method, without the coupling."""
        data, _ = self._split(z)
        return self._each("pseudo_inverse", self._split(jnp.broadcast_to(mask, z.shape))[0].real, data)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def stack(
    measurements: Measurement,
    image: tuple[int, int, int],
    tau: Float[Array, ""] | float,
    before: Float[Array, "H W C"] | None = None,
    own: bool = False,
) -> Measurement:
    """One measurement of a block from those of its slices.

    Args:
        measurements: of the slices: y [slices, K...], a mask [slices, K...], one noise level, one transform (or, with
            `own`, one for each slice, stacked).
        image: (H, W, C) of a slice.
        tau: root mean square difference of neighbouring slices, in the unit of the image; infinite: independent slices.
        before: the slice below the block, already reconstructed; None: the block starts the volume.
        own: whether each slice has a transform of its own.

    Returns:
        The measurement of images [slices, H, W, C].

    Example:
        >>> import jax.numpy as jnp
        >>> from scoreinv.operators.base import LinearOperator, Measurement
        >>> from scoreinv.operators.mri import FourierTransform
        >>> y, mask = jnp.ones((3, 8, 8), jnp.complex64), jnp.ones((3, 8, 8))
        >>> slices = Measurement(y, LinearOperator(mask, FourierTransform()), jnp.float32(0.1))
        >>> block = stack(slices, (8, 8, 1), tau=0.2)
        >>> block.operator.adjoint(block.y).shape
        (3, 8, 8, 1)
    """
    y, operator, noise_std = measurements
    count, shape = y.shape[0], y.shape[1:]
    weight = jnp.asarray(noise_std / tau, jnp.float32)
    first = jnp.zeros(()) if before is None else weight
    known = jnp.zeros((count, *image)).at[0].set(0.0 if before is None else weight * before)
    mask = jnp.broadcast_to(operator.mask, y.shape)
    transform = StackedTransform(operator.transform, weight, first, shape, image, own)
    stacked = LinearOperator(jnp.concatenate([mask.ravel(), jnp.ones(known.size, mask.dtype)]), transform)
    return Measurement(jnp.concatenate([y.ravel(), known.ravel().astype(y.dtype)]), stacked, noise_std)
