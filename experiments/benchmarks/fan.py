"""fan.py, the fan-beam transform: time and agreement with ASTRA (CPU) on one geometry, in one interleaved run.

    python -m experiments.benchmarks.fan [--size 512] [--views 720] [--columns 900] [--rounds 3]

Every round times each function once; the table gives the fastest and the median round. ASTRA has no filtered
back-projection of fans on CPUs: in its column stands its back-projection alone.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.radon import interleaved_times, print_times, smooth_phantom
from scoreinv.operators.geometry import BeamGeometry, projector

NEAR, FAR = 2.0, 3.0  # source to axis and to detector, in sides of the image


def geometry_of(size: int, views: int, columns: int) -> BeamGeometry:
    """A full turn whose detector just sees the circle in the image; ASTRA's source is below it at angle 0."""
    opening = 2 * FAR * size * np.tan(np.arcsin(0.5 / NEAR))
    angles = 2 * np.pi * np.arange(views) / views + np.pi
    return BeamGeometry(
        angles, (size, size), columns, 1.0, opening / columns, None, NEAR * size, FAR * size, reversed=True
    )


def scoreinv_functions(transform, image, y):
    """Our forward, adjoint and FBP, compiled, with the geometry as an argument."""
    forward = jax.jit(lambda t, x: t.forward(x))
    adjoint, fbp = jax.jit(lambda t, z: t.adjoint(z)), jax.jit(lambda t, z: t.inverse(z))
    return {
        "forward": lambda: jax.block_until_ready(forward(transform, image)),
        "adjoint": lambda: jax.block_until_ready(adjoint(transform, y)),
        "FBP": lambda: jax.block_until_ready(fbp(transform, y)),
    }


def astra_functions(kind: str, scanner: BeamGeometry, x: np.ndarray):
    """ASTRA's CPU algorithms, data in its own memory, and what gives its sinogram."""
    import astra

    volume = astra.create_vol_geom(*x.shape)
    fan = astra.create_proj_geom(
        "fanflat",
        scanner.pitch,
        scanner.detectors,
        scanner.angles - np.pi,
        scanner.source_to_axis,
        scanner.source_to_detector - scanner.source_to_axis,
    )
    rays = astra.create_projector(kind, fan, volume)
    image, sinogram = astra.data2d.create("-vol", volume, x), astra.data2d.create("-sino", fan, 0)
    result = astra.data2d.create("-vol", volume, 0)

    def algorithm(name, **ids):
        return astra.algorithm.create(
            astra.astra_dict(name) | {"ProjectorId": rays, "ProjectionDataId": sinogram} | ids
        )

    steps = {
        "forward": algorithm("FP", VolumeDataId=image),
        "adjoint": algorithm("BP", ReconstructionDataId=result),
        "FBP": algorithm("BP", ReconstructionDataId=result),
    }
    return {name: lambda i=i: astra.algorithm.run(i) for name, i in steps.items()}, lambda: astra.data2d.get(sinogram)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--views", type=int, default=720)
    parser.add_argument("--columns", type=int, default=900)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    scanner = geometry_of(flags.size, flags.views, flags.columns)
    transform = projector(scanner)
    image = jnp.asarray(smooth_phantom(flags.size))
    y = jax.jit(lambda t, x: t.forward(x))(transform, image)
    packages = {"scoreinv": scoreinv_functions(transform, image, y)}
    for kind in ("line_fanflat", "strip_fanflat"):
        functions, sinogram = astra_functions(kind, scanner, np.asarray(image[..., 0]))
        functions["forward"]()
        theirs = sinogram()
        theirs *= float(np.vdot(theirs, y) / np.vdot(theirs, theirs)) if kind.startswith("strip") else 1
        print(f"{kind}: {np.linalg.norm(theirs - y) / np.linalg.norm(y):.2%} from ours")
        packages[f"ASTRA {kind}"] = functions
    print_times(interleaved_times(packages, flags.rounds))


if __name__ == "__main__":
    main()
