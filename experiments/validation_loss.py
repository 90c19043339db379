"""Validation loss of priors by noise level and pixel size, on the same images and the same noise: for model cards.

python -m experiments.validation_loss brain-mri runs/brain-mri --config=train_brain_mri --data=volumes --pixels 1 2
"""

import argparse
import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Array, Float, PRNGKeyArray

from scoreinv import build
from scoreinv.prior import Prior
from scoreinv.samplers.base import tweedie
from scoreinv.training.losses import edm_loss_at
from scoreinv.training.validation import by_noise_level, column


def loss_at(
    key: PRNGKeyArray, prior: Prior, x: Float[Array, "H W C"], sigma: Float[Array, ""], sigma_data: float
) -> Float[Array, ""]:
    """EDM's weighted denoising error (`edm_loss_at`) of any prior, through Tweedie's formula; 1 is a zero network."""
    t = prior.sde.time_at(sigma)
    alpha, _ = prior.sde.marginal_prob(t)
    return edm_loss_at(key, lambda noisy, _: tweedie(prior, alpha * noisy, t), x, sigma, sigma_data)


def configuration(name: str, data: Sequence[str], fields: Sequence[str]):
    """The configuration `configs/<name>.py` with its data, and "field=value" for what is to be changed.

    Raises:
        ValueError: no such field, or a value that is no Python literal.
    """
    config = importlib.import_module(f"configs.{name}").get_config()
    if data:
        prepared = Path(data[0]).is_file() or list(Path(data[0]).glob("dataset_info.json"))
        config.data.update({"packed": data[0]} if prepared else {"folders": tuple(data)})
    for text in fields:
        field, _, value = text.partition("=")
        try:
            config.lock().update_from_flattened_dict({field: ast.literal_eval(value)})
        except (KeyError, SyntaxError, ValueError, TypeError) as error:
            raise ValueError(f"cannot apply {text!r}: {error}; write field=value, strings quoted") from error
    return config


def table(name: str, losses: dict[str, float], sets: Sequence[str], sigmas: Sequence[float]) -> str:
    """The losses of one prior: a row for each set of images, a column for each noise level."""
    lines = [f"| {name} | " + " | ".join(f"{sigma:g}" for sigma in sigmas) + " |", "|---" * (len(sigmas) + 1) + "|"]
    for own in sets:
        cells = " | ".join(f"{losses[column(own, sigma)]:.4f}" for sigma in sigmas)
        lines.append(f"| {f'pixels {own}' if own else 'whole slices'} | {cells} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("priors", nargs="+", help="bundled priors, prior files or trainings' work directories")
    parser.add_argument("--config", default="train_brain_mri", help="of configs/: names the slices and the splits")
    parser.add_argument("--data", nargs="+", default=[], help="folders of volumes, or what --mode=prepare wrote")
    parser.add_argument(
        "--pixels", nargs="*", type=float, default=[1, 2, 4], help="pixel sizes, in pixels of the slice"
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="fields of the configuration")
    options = parser.parse_args(argv)
    try:
        config = configuration(options.config, options.data, options.set)
        config.train.validation_pixels = tuple(options.pixels)
        priors = {name: build.load_prior(name) for name in options.priors}
        channels = {prior.shape[2] for prior in priors.values()}
        if len(channels) > 1:
            raise ValueError("priors of real and of complex images cannot be compared; name those of one kind")
        sets, sigmas = build.validation_sets(config, channels.pop()), config.train.validation_sigmas
        sigma_data = config.model.sigma_data
        validate = by_noise_level(lambda key, prior, x, s: loss_at(key, prior, x, s, sigma_data), sets, sigmas)
        counts = ", ".join(f"{len(images)} {name or 'whole'}" for name, images in sets.items())
        print(f"images of {config.data.size} x {config.data.size} pixels: {counts}\n")
        for name, prior in priors.items():
            print(table(name, validate(prior), list(sets), sigmas) + "\n", flush=True)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
