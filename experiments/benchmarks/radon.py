"""Radon transform: time against scikit-image and ASTRA (CPU) in one interleaved run, and the numbers it must meet.

    python experiments/benchmarks/radon.py [--size 320] [--views 320] [--rounds 15] [--steps 1000]

Every round times each function once, so that all see the same machine; the tables give the fastest and the median
round. ASTRA is skipped where it is not installed (`pip install astra-toolbox`).
"""

import argparse
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from skimage.data import shepp_logan_phantom
from skimage.transform import iradon, radon, resize

from scoreinv.operators import ct
from scoreinv.operators.base import LinearOperator

OPERATIONS = ("forward", "adjoint", "FBP")
Functions = dict[str, Callable[[], object]]


def scoreinv_functions(transform: ct.RadonTransform, x: np.ndarray) -> Functions:
    """Our forward, adjoint and FBP, compiled, with the geometry as an argument."""
    forward, adjoint, fbp = (
        jax.jit(f) for f in (ct.RadonTransform.forward, ct.RadonTransform.adjoint, ct.RadonTransform.inverse)
    )
    image = jnp.asarray(x[..., None])
    y = forward(transform, image)
    return {
        "forward": lambda: jax.block_until_ready(forward(transform, image)),
        "adjoint": lambda: jax.block_until_ready(adjoint(transform, y)),
        "FBP": lambda: jax.block_until_ready(fbp(transform, y)),
    }


def skimage_functions(degrees: np.ndarray, x: np.ndarray) -> Functions:
    """scikit-image; its unfiltered `iradon` stands for the adjoint."""
    y = radon(x, degrees, circle=False)
    size = x.shape[0]
    return {
        "forward": lambda: radon(x, degrees, circle=False),
        "adjoint": lambda: iradon(y, degrees, output_size=size, filter_name=None, circle=False),
        "FBP": lambda: iradon(y, degrees, output_size=size, circle=False),
    }


def astra_functions(projector: str, angles: np.ndarray, detectors: int, x: np.ndarray) -> Functions:
    """ASTRA's CPU algorithms with the 'linear' or 'strip' projector; data stay in its memory between calls."""
    import astra

    volume_geometry = astra.create_vol_geom(*x.shape)
    geometry = astra.create_proj_geom("parallel", 1.0, detectors, angles)
    projector_id = astra.create_projector(projector, geometry, volume_geometry)
    image = astra.data2d.create("-vol", volume_geometry, x)
    sinogram = astra.data2d.create("-sino", geometry, 0)
    reconstruction = astra.data2d.create("-vol", volume_geometry, 0)

    def algorithm(kind, **ids):
        config = astra.astra_dict(kind) | {"ProjectorId": projector_id, "ProjectionDataId": sinogram} | ids
        return astra.algorithm.create(config)

    algorithms = {
        "forward": algorithm("FP", VolumeDataId=image),
        "adjoint": algorithm("BP", ReconstructionDataId=reconstruction),
        "FBP": algorithm("FBP", ReconstructionDataId=reconstruction),
    }
    return {name: lambda i=i: astra.algorithm.run(i) for name, i in algorithms.items()}


def all_packages(transform: ct.RadonTransform, x: np.ndarray) -> dict[str, Functions]:
    """The functions to time, by package."""
    angles = np.asarray(transform.angles, np.float64)
    packages = {"scoreinv": scoreinv_functions(transform, x), "scikit-image": skimage_functions(np.rad2deg(angles), x)}
    try:
        for projector in ("linear", "strip"):
            packages[f"ASTRA {projector}"] = astra_functions(projector, angles, transform.detectors, x)
    except ImportError:
        print("ASTRA skipped: astra-toolbox is not installed\n")
    return packages


def interleaved_times(packages: dict[str, Functions], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Seconds per call by (package, operation); the first round warms up and is dropped."""
    times: dict[tuple[str, str], list[float]] = {(p, o): [] for p in packages for o in OPERATIONS}
    for _ in range(rounds + 1):
        for package, functions in packages.items():
            for operation in OPERATIONS:
                start = time.perf_counter()
                functions[operation]()
                times[package, operation].append(time.perf_counter() - start)
    return {key: values[1:] for key, values in times.items()}


def print_times(times: dict[tuple[str, str], list[float]]) -> None:
    """Milliseconds (fastest / median round) and how many times the median is ours."""
    print("| package | " + " | ".join(f"{o}, ms (min / median) | ×" for o in OPERATIONS) + " |")
    print("|---|" + "---:|---:|" * len(OPERATIONS))
    for package in dict.fromkeys(p for p, _ in times):
        cells = []
        for operation in OPERATIONS:
            own, ours = times[package, operation], times["scoreinv", operation]
            ratio = statistics.median(own) / statistics.median(ours)
            cells.append(f"{1e3 * min(own):.1f} / {1e3 * statistics.median(own):.1f} | {ratio:.1f}")
        print(f"| {package} | " + " | ".join(cells) + " |")
    print()


def psnr(a, b) -> float:
    """Peak signal-to-noise ratio for a range of 1."""
    return float(10 * np.log10(1 / np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)))


def smooth_phantom(size: int) -> np.ndarray:
    """Gaussian bumps well inside the image."""
    u = np.arange(size) - (size - 1) / 2
    v = -u[:, None]
    bumps = [(0.12, 0.06, 0.04, 1.0), (-0.19, 0.16, 0.025, 0.5), (0.05, -0.2, 0.06, 0.7)]
    image = sum(a * np.exp(-((u - p * size) ** 2 + (v - q * size) ** 2) / 2 / (w * size) ** 2) for p, q, w, a in bumps)
    return np.asarray(image, np.float32)[..., None]


def adjoint_error(transform: ct.RadonTransform) -> float:
    """|<T x, y> - <x, T^H y>| / |T x| |y| for white noise, summed in float64."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((*transform.shape, 1)).astype(np.float32)
    y = rng.standard_normal((transform.angles.size, transform.detectors)).astype(np.float32)
    tx, thy = (np.asarray(v, np.float64) for v in (transform.forward(x), transform.adjoint(y)))
    return float(abs(np.vdot(tx, y) - np.vdot(x, thy)) / np.linalg.norm(tx) / np.linalg.norm(y))


@jax.jit
def largest_gain(operator: LinearOperator, x: jax.Array) -> jax.Array:
    """The largest |A^+ A x| / |x| along 50 power iterations; the pseudo-inverse adapts to x, hence the maximum."""

    def step(x, _):
        x = operator.pseudo_inverse(operator(x / jnp.linalg.norm(x)))
        return x, jnp.linalg.norm(x)

    return jnp.max(jax.lax.scan(step, x, length=50)[1])


def proximal_errors(operator: LinearOperator, truth: jax.Array, start: jax.Array, steps: int) -> tuple[jax.Array, ...]:
    """`steps` proximal steps x + A^+(A truth - A x).

    Returns:
        (largest pixel error at the end, norm of the error after each step [steps]).
    """

    @jax.jit
    def run(operator, truth, x):
        y = operator(truth)

        def step(x, _):
            x = x + operator.pseudo_inverse(y - operator(x))
            return x, jnp.linalg.norm(x - truth)

        x, errors = jax.lax.scan(step, x, length=steps)
        return jnp.max(jnp.abs(x - truth)), errors

    return run(operator, truth, start)


def print_stability(size: int, phantom: jax.Array, steps: int) -> None:
    """What the proximal step does at few, some and many views."""
    print(
        f"| views | λ_max(A⁺A) | residual left by one A⁺ | {steps} steps, exact start: max error "
        "| noisy start: error before → after | largest growth in a step |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    noise = jax.random.normal(jax.random.key(0), phantom.shape)
    for views in (23, 180, 320):
        operator = LinearOperator(jnp.ones((views, 1)), ct.radon_transform(ct.uniform_angles(views), (size, size)))
        gain = float(largest_gain(operator, noise))
        y = operator(phantom)
        left = float(jnp.linalg.norm(y - operator(operator.pseudo_inverse(y))) / jnp.linalg.norm(y))
        kept, _ = proximal_errors(operator, phantom, phantom, steps)
        _, errors = proximal_errors(operator, phantom, phantom + noise, steps)
        norms = np.concatenate([[np.linalg.norm(noise)], errors])
        growth = np.max(norms[1:] / norms[:-1] - 1)
        print(
            f"| {views} | {gain:.3f} | {100 * left:.2f} % | {float(kept):.1e} | {norms[0]:.1f} → {norms[-1]:.1f} "
            f"| {growth:+.1e} |",
            flush=True,
        )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=320, help="image side in pixels")
    parser.add_argument("--views", type=int, default=320, help="projection angles of the timed geometry")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds")
    parser.add_argument("--steps", type=int, default=1000, help="proximal steps of the stability table; 0 skips it")
    flags = parser.parse_args()
    size = flags.size
    phantom = resize(shepp_logan_phantom(), (size, size), anti_aliasing=True).astype(np.float32)
    transform = ct.radon_transform(ct.uniform_angles(flags.views), (size, size))
    print(
        f"{size}×{size}, {flags.views} views, {transform.detectors} detectors, jax on {jax.devices()[0].device_kind}\n"
    )
    print_times(interleaved_times(all_packages(transform, phantom), flags.rounds))
    print(f"adjointness {adjoint_error(transform):.1e}")
    for name, x in (("Shepp–Logan", phantom[..., None]), ("smooth", smooth_phantom(size))):
        print(f"round trip FBP(T x), {name}: {psnr(transform.inverse(transform.forward(jnp.asarray(x))), x):.1f} dB")
    print()
    if flags.steps:
        print_stability(size, jnp.asarray(phantom[..., None]), flags.steps)


if __name__ == "__main__":
    main()
