"""Attenuation to Hounsfield units and back: HU = 1000 (mu / mu_water - 1)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# mu of water, 1/mm, at the effective energy of a body scanner's beam (70 keV; NIST, Hubbell and Seltzer 2004).
WATER = 0.0193


@dataclass(frozen=True)
class HounsfieldScale:
    """Image values v = (HU - low) / (high - low) of attenuation, v = slope mu + vacuum.

    Attributes:
        water: attenuation of water, in the unit of mu, 1/mm say.
        low: HU of the image value 0.
        high: HU of the image value 1.
    """

    water: float
    low: float = -1024.0
    high: float = 1024.0

    def __post_init__(self):
        if not 0 < self.water < np.inf or not self.low < self.high:
            raise ValueError(
                f"water of attenuation {self.water:g}, window {self.low:g} to {self.high:g} HU; give a positive "
                f"number, {WATER} per mm at 70 keV, and a rising window"
            )

    @property
    def slope(self) -> float:
        """Image value per attenuation."""
        return 1000 / self.water / (self.high - self.low)

    @property
    def vacuum(self) -> float:
        """Image value of nothing, -1000 HU."""
        return (-1000 - self.low) / (self.high - self.low)

    def to_hu(self, mu: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """HU of attenuation."""
        return 1000 * (mu / self.water - 1)

    def to_mu(self, hu: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Attenuation of HU."""
        return self.water * (1 + hu / 1000)
