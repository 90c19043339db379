"""The command that measures priors: the training's own losses, for any prior, and mistakes in one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import validation_loss
from experiments.fast import write_prior
from scoreinv import build
from scoreinv.formats.prior_file import read_prior
from scoreinv.prior import Prior
from scoreinv.sde import VESDE, VPSDE
from tests.training import tiny

DATA = ["data.source='phantom'", "data.phantoms=3", "data.packed_size=32", "data.size=16", "data.intensity='none'"]
DATA += ["data.validation_subjects=('phantom-1',)", "train.validation_sigmas=(0.1,1.0)", "train.validation_images=2"]


@pytest.mark.parametrize("sde", [VESDE(0.002, 20.0), VPSDE()], ids=lambda s: s.name)
def test_the_ideal_denoiser_of_any_diffusion_has_the_loss_one(sde):
    tau = 0.5

    def score(x, t):
        alpha, sigma = sde.marginal_prob(t)
        return -x / (alpha**2 * tau**2 + sigma**2)

    images = tau * jax.random.normal(jax.random.key(0), (64, 32, 32, 1))
    prior = Prior(sde, jax.tree_util.Partial(score), (32, 32, 1))
    keys = jax.random.split(jax.random.key(1), 64)
    found = jax.jit(jax.vmap(lambda key, x: validation_loss.loss_at(key, prior, x, jnp.float32(0.3), tau)))(
        keys, images
    )
    assert float(found.mean()) == pytest.approx(1.0, rel=0.03)


def test_the_command_prints_what_the_training_reports(tmp_path, capsys):
    path = write_prior(tmp_path / "prior.safetensors")
    validation_loss.main([str(path), "--config=train_body_ct", "--pixels", "1", "--set", *DATA])
    printed = capsys.readouterr().out
    params, metadata = read_prior(path)
    config = tiny.get_config()
    config.data.update({"phantoms": 3, "size": 16})
    config.model.update(metadata["model"])
    config.train.update({"validation_sigmas": (0.1, 1.0), "validation_pixels": (1.0,)})
    losses = build.prior_training(config).validate(params)
    for name, row in (("", "whole slices"), ("x1 ", "pixels x1")):
        cells = next(line for line in printed.splitlines() if row in line).split("|")[2:-1]
        np.testing.assert_allclose([float(c) for c in cells], [losses[f"{name}0.1"], losses[f"{name}1"]], atol=2e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["missing"], "unknown prior 'missing'"), (["brain-mri", "--set", "data.sise=3"], "cannot apply 'data.sise=3'")],
)
def test_mistakes_get_one_line(arguments, message):
    with pytest.raises(SystemExit, match=message):
        validation_loss.main(arguments)
