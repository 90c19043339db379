"""The physics that metal artifacts come from: a polychromatic beam, partial volume, and photon noise.

Image values v in [0, 1] are a window of Hounsfield units, HU = low + (high - low) v, and Hounsfield units are
attenuation relative to water at one energy, mu / mu_water = 1 + HU / 1000. A scanner delivers, after its water
correction, the integral of mu / mu_water along each ray: the length of water that would absorb as much, here in pixels.
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from scoreinv.operators.geometry import RayTransform
from scoreinv.typing import Image, Scalar

Values = Float[Array, "..."] | Float[np.ndarray, "..."]

Sinogram = Float[Array, "views detectors"]

# Below this value of HU tissue is water of another density, above it a mixture of such water and cortical bone.
SOFT_TISSUE_HU = 100.0


class HounsfieldWindow(NamedTuple):
    """The window of Hounsfield units that image values 0 and 1 stand for."""

    low: float = -1024.0
    high: float = 1024.0

    def to_hu(self, values: Values) -> Values:
        """HU = low + (high - low) v."""
        return self.low + (self.high - self.low) * values

    def from_hu(self, hu):
        """v = (HU - low) / (high - low)."""
        return (hu - self.low) / (self.high - self.low)

    def to_relative(self, values: Values) -> Values:
        """mu / mu_water = 1 + HU / 1000."""
        return 1 + self.to_hu(values) / 1000

    def from_relative(self, relative: Values) -> Values:
        """v of mu / mu_water."""
        return self.from_hu(1000 * (relative - 1))

    def sinogram(self, water: Sinogram, transform: RayTransform) -> Sinogram:
        """The sinogram T v of image values, from water-equivalent lengths in pixels.

        v is affine in mu / mu_water; its constant, the value of vacuum, is projected along.
        """
        vacuum = jnp.full((*transform.shape, 1), self.from_hu(-1000.0))
        return 1000 / (self.high - self.low) * water + transform.forward(vacuum)


@flax.struct.dataclass
class Beam:
    """A tube and an energy-integrating detector.

    Attributes:
        spectrum: share of each energy bin in the signal of the open beam [E], sum 1.
        water, bone, metal: linear attenuation [E], per pixel.
        bone_relative: mu / mu_water of bone at the energy that Hounsfield units refer to.
        correction: coefficients c [K] of water length = sum_k c_k p^(k+1) in pixels, p = -log of the signal.
        photons: of the open beam, per ray.
    """

    __no_type_check__ = True  # see LinearOperator

    spectrum: Float[Array, " E"]
    water: Float[Array, " E"]
    bone: Float[Array, " E"]
    metal: Float[Array, " E"]
    bone_relative: Scalar
    correction: Float[Array, " K"]
    photons: Scalar


def transmission(
    spectrum: Float[Array, " E"], attenuation: Float[Array, "M E"], lengths: Float[Array, "M *rays"]
) -> Float[Array, "*rays"]:
    """The share of the open beam's signal that passes: sum_E spectrum_E exp(-sum_m mu_mE l_m) (Beer and Lambert).

    Args:
        spectrum: share of each energy in the signal [E].
        attenuation: of each material at each energy [M, E], per pixel.
        lengths: of each material along each ray [M, rays], pixels.

    Returns:
        [rays].
    """

    def add(total, energy):
        share, mu = energy
        return total + share * jnp.exp(-jnp.tensordot(mu, lengths, 1)), None

    return jax.lax.scan(add, jnp.zeros(lengths.shape[1:]), (spectrum, attenuation.T))[0]


def water_correction(
    spectrum: Float[np.ndarray, " E"], water: Float[np.ndarray, " E"], longest: float, degree: int = 5
) -> Float[np.ndarray, " K"]:
    """The polynomial that straightens the beam hardening of water (Herman 1979), fitted on lengths up to `longest`.

    Args:
        spectrum: share of each energy in the signal [E].
        water: attenuation of water [E], per pixel.
        longest: length of water, pixels.
        degree: of the polynomial; it has no constant, so that an open ray stays at zero.

    Returns:
        c [degree] with length = sum_k c_k p^(k+1).
    """
    lengths = np.linspace(0, longest, 200)
    p = -np.log(np.exp(-np.outer(lengths, water)) @ spectrum)
    powers = (p / p[-1])[:, None] ** np.arange(1, degree + 1)
    return np.linalg.lstsq(powers, lengths, rcond=None)[0] / p[-1] ** np.arange(1, degree + 1)


def water_length(p: Float[Array, "*rays"], correction: Float[Array, " K"]) -> Float[Array, "*rays"]:
    """The water correction sum_k c_k p^(k+1), in pixels, of p = -log of the signal's share."""
    total = jnp.zeros_like(p)
    for c in correction[::-1]:
        total = (total + c) * p
    return total


def tissue_fractions(relative: Float[Array, "*s"], bone_relative: Scalar) -> Float[Array, "2 *s"]:
    """Amounts of water and of cortical bone whose mixture has the attenuation `relative` at the reference energy.

    Args:
        relative: mu / mu_water, not negative.
        bone_relative: the same of cortical bone.

    Returns:
        [2, ...]; soft tissue is water alone, anything denser than bone is bone alone.
    """
    soft = 1 + SOFT_TISSUE_HU / 1000
    bone = jnp.where(
        relative > bone_relative, relative / bone_relative, jnp.maximum((relative - soft) / (bone_relative - soft), 0)
    )
    return jnp.stack([jnp.maximum(relative - bone_relative * bone, 0), bone])


class Readings(NamedTuple):
    """What the detector delivers.

    Attributes:
        water: water-corrected length of water [views, detectors], pixels.
        std: standard deviation of `water` from photon noise [views, detectors], pixels.
    """

    water: Sinogram
    std: Sinogram


def scan(
    key: PRNGKeyArray | None,
    relative: Image,
    metal: Float[Array, "fH fW"],
    fine: RayTransform,
    detectors: int,
    beam: Beam,
) -> Readings:
    """Scans an image with a metal implant.

    The beam's signal, not the attenuation, is averaged over the finer rays of a detector bin: the exponential
    edge-gradient effect (Joseph and Spital 1981), which makes metal's edges streak even at one energy.

    Args:
        key: PRNG key of the photon noise; None for none.
        relative: tissue, mu / mu_water [s H, s W, 1], s being 1 or f.
        metal: share of each finer pixel that is metal [f H, f W].
        fine: transform of images [f H, f W] onto f * detectors bins.
        detectors: number of detector bins.
        beam: spectrum, materials and photons.

    Returns:
        The readings.
    """
    factor, repeats = fine.detectors // detectors, metal.shape[0] // relative.shape[0]
    tissue = tissue_fractions(jnp.kron(relative[..., 0], jnp.ones((repeats, repeats))), beam.bone_relative)
    materials = jnp.concatenate([tissue * (1 - metal), metal[None]])
    # A band-limited projector rings below zero beside an edge.
    lengths = jnp.maximum(jax.vmap(fine.forward)(materials[..., None]), 0) / factor
    passed = transmission(beam.spectrum, jnp.stack([beam.water, beam.bone, beam.metal]), lengths)
    expected = beam.photons * passed.reshape(-1, detectors, factor).mean(-1)
    # An empty bin counts as one photon: starved rays are finite, and as wrong as a scanner's.
    counts = jnp.maximum(expected if key is None else jax.random.poisson(key, expected), 1.0)
    p = -jnp.log(counts / beam.photons)
    water, slope = jax.jvp(lambda p: water_length(p, beam.correction), (p,), (jnp.ones_like(p),))
    return Readings(water, slope / jnp.sqrt(counts))
