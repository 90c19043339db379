"""Non-Cartesian MRI (radial, spiral): Fourier transforms at any positions, density compensation, Toeplitz operator.

Positions are [samples, 2] in cycles per pixel, along rows and columns, within [-1/2, 1/2]; images have their origin at
[H // 2, W // 2]. The transforms are those of jax-finufft (Barnett et al. 2019).
"""

from functools import partial

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from scoreinv.operators.base import LinearOperator, Mask
from scoreinv.operators.linear_solvers import conjugate_gradient, least_squares
from scoreinv.operators.mri import to_channels, to_complex
from scoreinv.typing import Image

Positions = Float[Array, "samples 2"]
ACCURACY = 1e-6


def _finufft():
    try:
        import jax_finufft
    except ImportError as error:
        raise ValueError(
            "non-Cartesian k-space needs jax-finufft; install it: pip install 'scoreinv[noncartesian]'"
        ) from error
    return jax_finufft


@jax.custom_batching.custom_vmap
def _to_samples(image, rows, columns):
    flat = image.reshape(-1, *image.shape[-2:])
    samples = _finufft().nufft2(flat, rows, columns, eps=ACCURACY, iflag=-1)
    return samples.reshape(*image.shape[:-2], -1)


@_to_samples.def_vmap
def _to_samples_batched(axis_size, batched, image, rows, columns):
    return _batched(_to_samples, axis_size, batched, image, rows, columns), True


def _to_image(samples, rows, columns, shape):
    @jax.custom_batching.custom_vmap
    def transform(samples, rows, columns):
        flat = samples.reshape(-1, samples.shape[-1])
        image = _finufft().nufft1(shape, flat, rows, columns, eps=ACCURACY, iflag=1)
        return image.reshape(*samples.shape[:-1], *shape)

    @transform.def_vmap
    def transform_batched(axis_size, batched, samples, rows, columns):
        return _batched(transform, axis_size, batched, samples, rows, columns), True

    return transform(samples, rows, columns)


def _batched(transform, axis_size, batched, values, rows, columns):
    """Values of a batch at the same positions go in at once, as coils do; other positions one after the other."""
    # The package's own rule for vmap uses a name that JAX 0.10 no longer has.
    if not (batched[1] or batched[2]):
        return transform(values, rows, columns)
    parts = zip((values, rows, columns), batched, strict=True)
    whole = [x if is_batched else jnp.broadcast_to(x, (axis_size, *x.shape)) for x, is_batched in parts]
    return jnp.stack([transform(*(x[i] for x in whole)) for i in range(axis_size)])


@jax.custom_vjp
def nufft(image: Complex[Array, "*coils H W"], positions: Positions) -> Complex[Array, "*coils samples"]:
    """k-space at any positions, sum_r x(r) exp(-2 pi i k r) / sqrt(H W): `fft2c` where those are its grid."""
    scale = 1 / np.sqrt(image.shape[-2] * image.shape[-1])
    return scale * _to_samples(image, *_radians(positions))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def nufft_adjoint(
    samples: Complex[Array, "*coils samples"], positions: Positions, shape: tuple[int, int]
) -> Complex[Array, "*coils H W"]:
    """The adjoint of `nufft` for images of a shape."""
    rows, columns = _radians(positions)
    return _to_image(samples, rows, columns, shape) / np.sqrt(shape[0] * shape[1])


def _radians(positions):
    return 2 * jnp.pi * positions[..., 0], 2 * jnp.pi * positions[..., 1]


# Cotangents are transposed, not adjoint; positions are data of the scan, not differentiated.
nufft.defvjp(
    lambda image, positions: (nufft(image, positions), (image, positions)),
    lambda kept, z: (jnp.conj(nufft_adjoint(jnp.conj(z), kept[1], kept[0].shape[-2:])), jnp.zeros_like(kept[1])),
)
nufft_adjoint.defvjp(
    lambda samples, positions, shape: (nufft_adjoint(samples, positions, shape), positions),
    lambda shape, positions, x: (jnp.conj(nufft(jnp.conj(x), positions)), jnp.zeros_like(positions)),
)


def density_compensation(
    positions: Positions, shape: tuple[int, int], iterations: int = 30
) -> Float[Array, " samples"]:
    """Weights with which the samples, spread by a narrow Gaussian, cover k-space evenly (Pipe and Menon 1999).

    w <- w / (P w), where P spreads by a positive kernel with a standard deviation of 0.7 / N cycles per pixel: the
    transform pair with a Gaussian window on the image.

    Args:
        positions: of the samples.
        shape: (H, W) of the image.
        iterations: number of updates.

    Returns:
        Positive weights, `normalised`.
    """
    windows = [np.exp(-((2 * np.pi * 0.7 * (np.arange(n) - n // 2) / n) ** 2) / 2) for n in shape]
    window = jnp.asarray(windows[0][:, None] * windows[1], jnp.float32)
    weights = jnp.ones(positions.shape[0], jnp.complex64)
    for _ in range(iterations):
        spread = jnp.real(nufft(window * nufft_adjoint(weights, positions, shape), positions))
        weights = weights / jnp.maximum(spread, 1e-3 * spread.max())
    return normalised(jnp.real(weights), positions, shape)


def normalised(
    weights: Float[Array, " samples"], positions: Positions, shape: tuple[int, int]
) -> Float[Array, " samples"]:
    """Weights of such a sum that A^H W A is close to the identity for images without frequencies beyond the samples."""
    reach = jnp.max(jnp.linalg.norm(positions, axis=-1))
    area = jnp.minimum(jnp.pi * reach**2, 1.0)
    return weights * (shape[0] * shape[1] * area / jnp.sum(weights))


def toeplitz_spectrum(
    weights: Float[Array, " samples"], positions: Positions, shape: tuple[int, int]
) -> Float[Array, "H2 W2"]:
    """The spectrum of the convolution A^H W A on a grid of twice the sides (Fessler et al. 2005).

    A^H W A x = crop F^-1 spectrum F pad x, with F the transform of the twice larger image, zero frequency first.
    """
    kernel = nufft_adjoint(weights.astype(jnp.complex64), positions, (2 * shape[0], 2 * shape[1]))
    return jnp.real(jnp.fft.fft2(jnp.fft.ifftshift(kernel))) * (2 / np.sqrt(shape[0] * shape[1]))


@flax.struct.dataclass
class NonCartesianTransform:
    """Multi-coil MRI at any positions: T x = W^(1/2) (A S_c x)_c, image [H, W, C] -> [coils, samples].

    The root of the density weights W belongs to the transform, so that T^H T is close to the identity and few steps of
    conjugate gradients solve for an image (Pruessmann et al. 2001); data are multiplied by it once.

    Attributes:
        positions: [samples, 2], cycles per pixel.
        root_weights: W^(1/2) [samples].
        spectrum: `toeplitz_spectrum` of W.
        coils: sensitivities [coils, H, W].
        channels: 1 for real images, 2 for complex ones.
        steps: conjugate-gradient steps of the pseudo-inverse.
    """

    __no_type_check__ = True  # see LinearOperator

    positions: Positions
    root_weights: Float[Array, " samples"]
    spectrum: Float[Array, "H2 W2"]
    coils: Complex[Array, "coils H W"]
    channels: int = flax.struct.field(pytree_node=False, default=2)
    steps: int = flax.struct.field(pytree_node=False, default=10)

    def forward(self, x: Image) -> Complex[Array, "coils samples"]:
        """T x."""
        return self.root_weights * nufft(self.coils * to_complex(x), self.positions)

    def adjoint(self, z: Complex[Array, "coils samples"]) -> Image:
        """T^H z."""
        height, width = self.coils.shape[1:]
        images = nufft_adjoint(self.root_weights * z, self.positions, (height, width))
        return to_channels(jnp.sum(jnp.conj(self.coils) * images, axis=0), self.channels)

    def normal(self, x: Image) -> Image:
        """T^H T x by two FFTs of twice the sides a coil, of which the rows of zeros are left out."""
        height, width = self.coils.shape[1:]
        image = to_complex(x)

        # One coil after the other: the arrays of one stay in the processor's cache.
        def add(total, coil):
            padded = jnp.fft.fft(jnp.fft.fft(coil * image, 2 * width).T, 2 * height)
            rows = jnp.fft.ifft(self.spectrum.T * padded)[:, :height].T
            return total + jnp.conj(coil) * jnp.fft.ifft(rows)[:, :width], None

        total = jax.lax.scan(add, jnp.zeros((height, width), jnp.complex64), self.coils)[0]
        return to_channels(total, self.channels)

    def inverse(self, z: Complex[Array, "coils samples"], mask: Mask | None = None) -> Image:
        """The density-compensated adjoint image, coils combined: gridding; zero where no coil sees anything."""
        power = jnp.sum(jnp.abs(self.coils) ** 2, axis=0)[..., None]
        return jnp.where(power > 0, self.adjoint(z) / jnp.where(power > 0, power, 1), 0)

    def pseudo_inverse(self, mask: Mask, z: Complex[Array, "coils samples"]) -> Image:
        """A^+ z by `steps` conjugate-gradient steps, on the Toeplitz operator where nothing is masked."""
        operator = LinearOperator(mask, self)
        if operator.has_fast_normal:
            right = operator.adjoint(z)
            return conjugate_gradient(operator.normal, right, jnp.zeros_like(right), self.steps)
        return least_squares(operator, operator.adjoint, mask * z, self.steps)
