"""deepinv's samplers with our prior and measurements: equal operators, exact adjoints, and the data are used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("deepinv", reason="the peer of experiments/peers is not installed: pip install 'scoreinv[peers]'")
import torch

from experiments.peers import __main__ as peers
from experiments.peers import deepinv_methods as wrapped
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.operators.ct import radon_transform, uniform_angles
from scoreinv.operators.mri import FourierTransform
from scoreinv.operators.mri_masks import equispaced_mask
from scoreinv.prior import Prior
from scoreinv.sde import VESDE

SHAPE = (16, 16, 1)
OPERATORS = {
    "mri": LinearOperator(equispaced_mask(SHAPE[:2], 2, 0.2), FourierTransform()),
    "ct": LinearOperator(jnp.ones((6, 1)), radon_transform(uniform_angles(6), SHAPE[:2])),
}
TRUTH = jnp.zeros(SHAPE).at[4:12, 5:11].set(0.8)


def gaussian_prior(std=0.4):
    """N(0.3, std^2 I), whose denoiser is linear."""
    sde = VESDE(0.002, 20.0)

    def score(x, t):
        return (0.3 - x) / (std**2 + sde.marginal_prob(t)[1] ** 2)

    return Prior(sde, jax.tree_util.Partial(score), SHAPE)


def measured(modality, noise_std=0.02):
    return simulate(jax.random.key(0), OPERATORS[modality], TRUTH, noise_std)


def test_the_denoiser_and_its_gradient_are_those_of_the_prior():
    denoiser = wrapped.PriorDenoiser(gaussian_prior())
    x = torch.rand(1, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    out = denoiser(x, torch.tensor([0.4]))
    np.testing.assert_allclose(out.detach(), (x.detach() + 0.3) / 2, atol=1e-5)  # equal weights at sigma = std
    (gradient,) = torch.autograd.grad((out**2).sum(), x)
    np.testing.assert_allclose(gradient, out.detach(), atol=1e-5)
    assert denoiser.calls == 1


@pytest.mark.parametrize("modality", OPERATORS)
def test_the_operator_has_norm_one_its_adjoint_and_its_data(modality):
    measurement = measured(modality, 0.0)
    physics = wrapped.Operator(measurement)
    y = wrapped.real_parts(measurement.y) / physics.scale
    np.testing.assert_allclose(physics.A(wrapped.to_torch(TRUTH)), y, atol=1e-5)
    x = torch.rand(1, 1, 16, 16)
    z = torch.rand_like(y)
    assert float((physics.A(x) * z).sum()) == pytest.approx(float((x * physics.A_adjoint(z)).sum()), rel=1e-4)
    assert float(physics.compute_norm(x)) == pytest.approx(1.0, rel=0.02)


def test_the_fourier_operator_of_deepinv_is_ours():
    measurement = measured("mri", 0.0)
    physics, y = wrapped.fourier_operator(measurement)
    image = torch.cat([wrapped.to_torch(TRUTH), torch.zeros(1, 1, 16, 16)], 1)
    np.testing.assert_allclose(physics.A(image), y, atol=1e-5)


SAMPLERS = [
    ("deepinv_diffpir", "mri", 60),
    ("deepinv_diffpir", "ct", 60),
    ("deepinv_dps", "mri", 60),
    ("deepinv_ddrm", "mri", 60),
]


@pytest.mark.parametrize(("name", "modality", "steps"), SAMPLERS)
def test_samplers_use_the_data(name, modality, steps):
    measurement = measured(modality)
    drawn = wrapped.PEERS[name](gaussian_prior(), measurement, 3, steps)
    assert drawn.image.shape == SHAPE and steps - 1 <= drawn.calls <= steps + 1

    def residual(x):
        return float(jnp.abs(measurement.y - measurement.operator(x)).mean())

    assert residual(drawn.image) < 0.5 * residual(jnp.full(SHAPE, 0.3))
    if name == "deepinv_diffpir":
        again = wrapped.PEERS[name](gaussian_prior(), measurement, 3, steps)
        np.testing.assert_array_equal(drawn.image, again.image)


@pytest.mark.slow
def test_the_experiment_in_its_fast_form(tmp_path, capsys):
    peers.main(["--fast", f"--workdir={tmp_path}"])
    rows = (tmp_path / "mri-4x" / "evaluate.csv").read_text()
    assert all(rows.count(f"\n{name},") == 2 for name in ("tv", "one_draw", "deepinv_ddrm", "deepinv_dps"))
    assert "deepinv_diffpir" in (tmp_path / "table.md").read_text()
    peers.main(["--fast", f"--workdir={tmp_path}"])
    assert (tmp_path / "mri-4x" / "evaluate.csv").read_text() == rows
    with pytest.raises(SystemExit, match="give --mri or --ct"):
        peers.main([])
