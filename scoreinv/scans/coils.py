"""Receive coils: compression to fewer virtual ones, the calibration region, sensitivities by ESPIRiT."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Num

from scoreinv.operators.mri import ifft2c

# Sides of the calibration region: below the first nothing is calibrated, above the second nothing is gained.
LEAST, MOST = 4, 32
KERNEL = 6
# Share of the energy of coil images beyond given sensitivities: 0.004 for the scan's, 0.4 and more for others.
WRONG = 0.25


def compressed(kspace: Complex[np.ndarray, "coils *samples"], coils: int) -> Complex[np.ndarray, "virtual *samples"]:
    """The virtual coils with the most energy: principal components of the coils (Huang et al. 2008).

    Args:
        kspace: of the coils, with uncorrelated noise.
        coils: number of virtual coils.
    """
    flat = kspace.reshape(len(kspace), -1)
    vectors = np.linalg.eigh((flat @ flat.conj().T).astype(np.complex128))[1][:, ::-1][:, :coils]
    return (vectors.conj().T @ flat).reshape(-1, *kspace.shape[1:]).astype(np.complex64)


def calibration_region(measured: Bool[np.ndarray, "H W"], most: int = MOST) -> tuple[slice, slice]:
    """The rectangle about the zero frequency that is measured everywhere, grown by one line after the other.

    Args:
        measured: where k-space was measured.
        most: its longest side, of which the shorter one, where it has to stay shorter, takes nothing away.

    Returns:
        (rows, columns); empty where the zero frequency was not measured.
    """
    height, width = measured.shape
    top, left = height // 2, width // 2
    bottom, right = top, left
    if measured[top, left]:
        bottom, right = top + 1, left + 1
    grown = bottom > top
    while grown:
        grown = False
        if bottom - top < most:
            if bottom < height and measured[bottom, left:right].all():
                bottom, grown = bottom + 1, True
            if top > 0 and bottom - top < most and measured[top - 1, left:right].all():
                top, grown = top - 1, True
        if right - left < most:
            if right < width and measured[top:bottom, right].all():
                right, grown = right + 1, True
            if left > 0 and right - left < most and measured[top:bottom, left - 1].all():
                left, grown = left - 1, True
    return slice(top, bottom), slice(left, right)


@partial(jax.jit, static_argnames=("shape", "kernel"))
def espirit(
    calibration: Complex[Array, "coils h w"],
    shape: tuple[int, int],
    kernel: int = KERNEL,
    threshold: Float[Array, ""] | float = 0.02,
) -> tuple[Complex[Array, "sets coils H W"], Float[Array, "sets H W"]]:
    """Sensitivities from the centre of k-space by ESPIRiT (Uecker et al. 2014), as one program.

    Patches of kernel x kernel samples of all coils span a subspace; an image's k-space is what the projection P onto it
    leaves alone. Averaged over the patches that a sample lies in, P is a convolution of k-space, a matrix
    M(r) [coils, coils] at each pixel r whose eigenvectors of eigenvalue 1 are the sensitivities. M is the Fourier
    series of the sums of P over its diagonals, (2 kernel - 1)^2 terms, so that no kernel is ever an image.

    Args:
        calibration: the fully sampled centre of k-space.
        shape: (H, W) of the image.
        kernel: side of the patches, at most that of the calibration region.
        threshold: singular values of the patches below this fraction of the largest are noise.

    Returns:
        (eigenvectors of unit norm, strongest first, their eigenvalues between 0 and 1). The phase is that of the
        strongest principal component of the coils.
    """
    coils, height, width = calibration.shape
    windows = [
        calibration[:, i : height - kernel + 1 + i, j : width - kernel + 1 + j].reshape(coils, -1)
        for i in range(kernel)
        for j in range(kernel)
    ]
    patches = jnp.stack(windows, 1).reshape(coils * kernel**2, -1)
    values, vectors = jnp.linalg.eigh(patches @ patches.conj().T)
    kept = vectors * (values > threshold**2 * values[-1])
    projection = (kept @ kept.conj().T).reshape(coils, kernel, kernel, coils, kernel, kernel)
    series = jnp.zeros((coils, coils, 2 * kernel - 1, 2 * kernel - 1), projection.dtype)
    for i in range(kernel):
        for j in range(kernel):
            place = slice(kernel - 1 - i, 2 * kernel - 1 - i), slice(kernel - 1 - j, 2 * kernel - 1 - j)
            series = series.at[:, :, *place].add(projection[:, i, j])
    waves = [_waves(n, kernel) for n in shape]
    matrices = jnp.einsum("abij,hi,wj->hwab", series, *waves, optimize=True) / kernel**2
    strengths, maps = jnp.linalg.eigh(matrices)
    flat = calibration.reshape(coils, -1)
    reference = jnp.linalg.eigh(flat @ flat.conj().T)[1][:, -1]
    along = jnp.einsum("a,hwas->hws", reference.conj(), maps)
    maps = maps * jnp.exp(-1j * jnp.angle(along))[:, :, None, :]
    return maps.transpose(3, 2, 0, 1)[::-1], strengths.transpose(2, 0, 1)[::-1]


def agreeing(
    maps: Num[np.ndarray, "coils H W"], calibration: Complex[np.ndarray, "coils h w"]
) -> tuple[Num[np.ndarray, "coils H W"], list[str]]:
    """Given sensitivities as the coil images have them, and what was done.

    Args:
        maps: the sensitivities, of any norm.
        calibration: the fully sampled centre of k-space; one that is too small says nothing.

    Raises:
        ValueError: NaN or Inf, or sensitivities that the coil images do not have.
    """
    if not np.all(np.isfinite(maps)):
        raise ValueError("the sensitivities hold NaN or Inf; set them to zero outside of the object")

    def left(maps) -> float:
        norm = np.sqrt(np.sum(np.abs(maps) ** 2, 0, keepdims=True))
        unit = np.asarray(maps / np.maximum(norm, 1e-12), np.complex64)
        return float(unexplained(jnp.asarray(calibration), jnp.asarray(unit[None])))

    found = 0.0 if min(calibration.shape[1:]) < LEAST or not np.any(maps) else left(maps)
    if found <= WRONG:
        return maps, []
    shifted = np.fft.fftshift(maps, (1, 2))
    if left(shifted) < min(WRONG, found / 3):
        return shifted, ["the sensitivities had the image's origin in the corner: shifted to the middle"]
    raise ValueError(
        f"{100 * found:.0f} % of the energy of the coil images lies outside of the given sensitivities; give those of "
        "this scan, coil by coil, or leave them out: they are estimated then"
    )


@jax.jit
def unexplained(calibration: Complex[Array, "coils h w"], maps: Complex[Array, "sets coils H W"]) -> Float[Array, ""]:
    """The share of the energy of coil images of low resolution that is not along the first set of sensitivities.

    Args:
        calibration: the fully sampled centre of k-space.
        maps: sensitivities of unit norm.
    """
    shape = maps.shape[2:]
    sides = zip(shape, calibration.shape[1:], strict=True)
    margins = [(n // 2 - m // 2, (n - n // 2) - (m - m // 2)) for n, m in sides]
    window = jnp.hanning(calibration.shape[1] + 2)[1:-1, None] * jnp.hanning(calibration.shape[2] + 2)[None, 1:-1]
    images = ifft2c(jnp.pad(calibration * window, ((0, 0), *margins)))
    along = jnp.sum(jnp.conj(maps[0]) * images, 0)
    return 1 - jnp.sum(jnp.abs(along) ** 2) / jnp.sum(jnp.abs(images) ** 2)


def _waves(n: int, kernel: int) -> Complex[Array, "n offsets"]:
    """exp(-2 pi i r d / n) of centred positions r and offsets d between two samples of a patch."""
    positions, offsets = np.arange(n) - n // 2, np.arange(2 * kernel - 1) - (kernel - 1)
    return jnp.asarray(np.exp(-2j * np.pi * np.outer(positions, offsets) / n), jnp.complex64)
