"""The noise of k-space: its level, from the data or a noise scan, and its correlation between coils."""

import numpy as np
from jaxtyping import Bool, Complex, Float

from scoreinv.formats.arrays import Arrays

Kspace = Complex[np.ndarray, "_ H W"]
Samples = Complex[np.ndarray, "_ *samples"]

# The share of the measured samples, the outermost ones, that are taken for noise, and the least number of them.
OUTERMOST, LEAST = 0.05, 128


def estimated_noise(kspace: Complex[np.ndarray, "coils H W"], measured: Bool[np.ndarray, "H W"]) -> float:
    """The standard deviation of the noise on each real number of k-space, from its outermost measured samples.

    The magnitude of complex noise is Rayleigh distributed, with a median of sqrt(2 log 2) standard deviations. Where
    the object reaches into the corners the estimate is too large by what it has there.

    Args:
        kspace: centred.
        measured: where it was measured.

    Returns:
        The root mean square of the coils' levels.
    """
    distance = np.hypot(*np.meshgrid(*(2 * (np.arange(n) - n // 2) / n for n in measured.shape), indexing="ij"))
    order = np.argsort(-distance[measured], kind="stable")
    outermost = order[: max(LEAST, round(OUTERMOST * len(order)))]
    levels = np.median(np.abs(kspace[:, measured][:, outermost]), 1) / np.sqrt(2 * np.log(2))
    return float(np.sqrt(np.mean(levels**2)))


def noise_covariance(noise: Complex[np.ndarray, "coils samples"]) -> Complex[np.ndarray, "coils coils"]:
    """E[n n^H] of a scan without excitation."""
    return noise @ noise.conj().T / noise.shape[1]


def prewhitened(
    kspace: Complex[np.ndarray, "coils *samples"], covariance: Complex[np.ndarray, "coils coils"]
) -> tuple[Complex[np.ndarray, "coils *samples"], Float[np.ndarray, ""] | float]:
    """Coils combined so that their noise is uncorrelated and of one level (Pruessmann et al. 2001, section "Noise").

    n -> s L^-1 n with L L^H = E[n n^H] and s^2 the mean of its diagonal, so that the level and the unit stay.

    Args:
        kspace: of the coils.
        covariance: E[n n^H] of their noise; a common factor is measured with the scan.

    Returns:
        (k-space of as many virtual coils, the standard deviation of the noise on each real number).

    Raises:
        ValueError: a covariance of another size, or one that is not positive definite.
    """
    coils = len(kspace)
    if covariance.shape != (coils, coils):
        raise ValueError(f"noise covariance of shape {covariance.shape} for {coils} coils; give [coils, coils]")
    power = float(np.real(np.trace(covariance)) / coils)
    try:
        factor = np.linalg.cholesky(covariance.astype(np.complex128))
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "the noise covariance is not positive definite; give E[n n^H] of a noise scan with more samples than coils"
        ) from error
    whitened = np.linalg.solve(factor, kspace.reshape(coils, -1)) * np.sqrt(power)
    return whitened.reshape(kspace.shape).astype(np.complex64), float(np.sqrt(power / 2))


def whitened(kspace: Samples, maps, arrays: Arrays) -> tuple[Samples, Kspace | None, float, list[str]]:
    """Coils with uncorrelated noise, where a noise scan or covariance tells how, and the noise level it tells.

    Args:
        kspace: of the coils, on any grid or none.
        maps: sensitivities that came with it; None: none did.
        arrays: of the file, `noise` and `noise_covariance` among them perhaps.

    Returns:
        (k-space, sensitivities of the same virtual coils, noise level or 0, what was done).
    """
    covariance = arrays.get("noise_covariance")
    if covariance is None and "noise" in arrays:
        scan = np.asarray(arrays["noise"], np.complex64).reshape(len(arrays["noise"]), -1)
        if len(scan) != len(kspace):
            raise ValueError(f"noise scan of shape {arrays['noise'].shape} for {len(kspace)} coils; give [coils, ...]")
        covariance = noise_covariance(scan)
    if covariance is None:
        return kspace, maps, 0.0, []
    covariance = np.asarray(covariance, np.complex128)
    kspace, noise_std = prewhitened(kspace, covariance)
    maps = None if maps is None else prewhitened(maps, covariance)[0]
    return kspace, maps, float(noise_std), [f"coils prewhitened by their noise covariance; noise level {noise_std:.3g}"]
