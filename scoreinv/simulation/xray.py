"""X-ray tube spectra and linear attenuation coefficients.

`xray.csv` holds what most scans need, on bins of 1 keV, so that a plain install simulates metal artifacts. It is the
output of `python -m scoreinv.simulation.xray`: spectra by SpekPy (Poludniowski et al. 2021), attenuation by xraydb
from the tabulation of Elam et al. (2002), which is in the public domain. Another tube voltage or material is computed
by the same two packages, the extra `[metal]`.
"""

import csv
import sys
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

TABLE = Path(__file__).with_name("xray.csv")
KVP = (80, 100, 120, 140)
# An anode of 12 degrees behind 6 mm of aluminium: half-value layers of a body CT scanner.
ANODE_DEGREES, ALUMINIUM_MM = 12.0, 6.0
# name: (density in g/cm^3, mass fractions of the elements). Water and bone as in ICRU report 44, steel is AISI 316L.
MATERIALS: dict[str, tuple[float, dict[str, float]]] = {
    "water": (1.0, {"H": 0.1119, "O": 0.8881}),
    "bone": (
        1.92,
        {"H": 0.034, "C": 0.155, "N": 0.042, "O": 0.435, "Na": 0.001, "Mg": 0.002, "P": 0.103, "S": 0.003, "Ca": 0.225},
    ),
    "titanium": (4.506, {"Ti": 1.0}),
    "steel": (7.99, {"Fe": 0.655, "Cr": 0.17, "Ni": 0.12, "Mo": 0.025, "Mn": 0.02, "Si": 0.01}),
    "iron": (7.874, {"Fe": 1.0}),
    "copper": (8.96, {"Cu": 1.0}),
    "gold": (19.3, {"Au": 1.0}),
}


def energies(kvp: float | int) -> Float[np.ndarray, " E"]:
    """Centres of the 1 keV bins from 10 keV to the tube voltage, keV."""
    return np.arange(10, int(kvp)) + 0.5


def tube_spectrum(kvp: float | int) -> Float[np.ndarray, " E"]:
    """Photons of a tungsten tube in each bin of `energies(kvp)`, as fractions of all.

    Args:
        kvp: tube voltage, kV; 80, 100, 120 and 140 are tabulated, others need spekpy.

    Returns:
        [E], sum 1.

    Raises:
        ValueError: a voltage outside 30 to 200 kV, or one that is not tabulated where spekpy is not installed.
    """
    if kvp in KVP:
        photons = _table()[f"{int(kvp)} kVp"][: energies(kvp).size]
    else:
        photons = _spekpy_spectrum(kvp)
    return photons / photons.sum()


def attenuation(material: str, energy: Float[np.ndarray, " E"]) -> Float[np.ndarray, " E"]:
    """Linear attenuation coefficient, coherent scattering included.

    Args:
        material: a name in `MATERIALS`, or the symbol of an element, which needs xraydb.
        energy: photon energies, keV, 10.5 to 139.5 for the tabulated materials.

    Returns:
        [E], 1/cm.

    Raises:
        ValueError: unknown material, or an element where xraydb is not installed.
    """
    if material in MATERIALS:
        table = _table()
        return np.exp(np.interp(np.log(energy), np.log(table["keV"]), np.log(table[material])))
    xraydb = _package("xraydb", f"material {material!r}")
    try:
        density = xraydb.atomic_density(material)
    except ValueError as error:
        known = ", ".join(sorted(MATERIALS))
        raise ValueError(
            f"unknown material {material!r}; choose one of {known}, or the symbol of an element"
        ) from error
    return _xraydb_attenuation(density, {material: 1.0}, energy)


@cache
def _table() -> dict[str, np.ndarray]:
    with TABLE.open() as file:
        names, *rows = csv.reader(file)
    return {name: np.array(column, float) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _package(name: str, what: str):
    try:
        return __import__(name)
    except ImportError as error:
        raise ValueError(
            f"{what} is not tabulated and needs {name}; pip install 'scoreinv[metal]', or choose a spectrum of "
            f"{', '.join(map(str, KVP))} kVp and a material of {', '.join(sorted(MATERIALS))}"
        ) from error


def _spekpy_spectrum(kvp: float | int) -> np.ndarray:
    if not 30 <= kvp <= 200:
        raise ValueError(f"tube voltage of {kvp} kV; give one from 30 to 200 kV, 120 is usual")
    spectrum = _package("spekpy", f"a spectrum of {kvp:g} kVp").Spek(kvp=kvp, th=ANODE_DEGREES, dk=1.0)
    spectrum.filter("Al", ALUMINIUM_MM)
    energy, photons = spectrum.get_spectrum()
    return np.interp(energies(kvp), energy, photons, left=0.0, right=0.0)


def _xraydb_attenuation(density: float, fractions: dict[str, float], energy: np.ndarray) -> np.ndarray:
    xraydb = _package("xraydb", f"a material of {', '.join(fractions)}")
    return density * sum(part * xraydb.mu_elam(element, 1e3 * energy) for element, part in fractions.items())


def generate() -> dict[str, np.ndarray]:
    """The columns of `xray.csv`, by spekpy and xraydb: keV, photons of each spectrum, 1/cm of each material."""
    energy = energies(max(KVP))
    columns = {"keV": energy}
    for kvp in KVP:
        photons = _spekpy_spectrum(kvp)
        columns[f"{kvp} kVp"] = np.pad(photons / photons.sum(), (0, energy.size - photons.size))
    return columns | {name: _xraydb_attenuation(*material, energy) for name, material in MATERIALS.items()}


if __name__ == "__main__":
    columns = generate()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([f"{value:.5g}" for value in row] for row in zip(*columns.values(), strict=True))
