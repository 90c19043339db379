"""Draws how-it-works.png: `python docs/how_it_works.py`, a minute on a CPU."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import scoreinv
from scoreinv.baselines.tv import tv_start
from scoreinv.samplers.base import tweedie

LEVELS = (0.03, 0.1, 0.3, 1.0)


def panels() -> list[list[tuple[str, np.ndarray]]]:
    """Rows of captions and pictures: the measurement, the prior, and both together."""
    image = jnp.asarray(scoreinv.brain_mri().image)
    prior = scoreinv.load_prior("brain-mri")
    transform = scoreinv.FourierTransform()
    operator = scoreinv.LinearOperator(scoreinv.equispaced_mask(image.shape[:2], 4, 0.04), transform)
    measurement = scoreinv.simulate(jax.random.key(0), operator, image, noise_std=0.03)
    denoise = jax.jit(lambda prior, x, t: tweedie(prior, x, t))
    times = scoreinv.geometric_times(prior.sde, 39, 0.01, 0.2)

    def after(steps):
        sampler = scoreinv.dpir(prior, times=times[: steps + 1], start=tv_start)
        return jax.jit(sampler)(jax.random.key(1), measurement)

    def logarithm(z):
        return np.log10(np.abs(z) + 1e-3)[..., None] / 3 + 0.7

    scan = {
        r"$x$": image,
        r"$T x$": logarithm(transform.forward(image)),
        r"$y = P(\Lambda)\,T x + n$": logarithm(measurement.y),
        r"$A^H y$": operator.adjoint(measurement.y),
        "first image: TV": tv_start(measurement),
    }
    noise = jax.random.normal(jax.random.key(2), image.shape)
    states = {rf"$D(x_t)$, $\sigma = {s}$": denoise(prior, image + s * noise, prior.sde.time_at(s)) for s in LEVELS}
    states = {r"$x_t$, $\sigma = 0.3$": image + 0.3 * noise} | states
    steps = {f"after {n + 1} steps": after(n) for n in (1, 9, 19, 39)}
    steps["|error| at the end, times 5"] = 5 * abs(after(39) - image)
    return [[(name, np.asarray(x)[..., 0]) for name, x in row.items()] for row in (scan, states, steps)]


def main() -> None:
    """Three rows of five pictures."""
    figure, axes = plt.subplots(3, 5, figsize=(12, 5.9), layout="constrained")
    names = ("a scan", "a prior", "together")
    for row, name, pictures in zip(axes, names, panels(), strict=True):
        for axis, (caption, values) in zip(row, pictures, strict=True):
            axis.imshow(values, cmap="gray", vmin=0, vmax=1)
            axis.set_title(caption, fontsize=10)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    figure.savefig(Path(__file__).with_name("how-it-works.png"), dpi=110)


if __name__ == "__main__":
    main()
