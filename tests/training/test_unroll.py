"""The supervised network: what it is untrained, that training lowers its error, and its place among the methods."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from configs import default
from experiments.fast import shrink
from scoreinv.drivers.evaluate import evaluate
from scoreinv.drivers.unroll import unroll
from scoreinv.models.unrolled import UnrolledNetwork
from scoreinv.operators.base import LinearOperator, simulate
from scoreinv.operators.ct import radon_transform, uniform_angles
from scoreinv.operators.mri import FourierTransform
from scoreinv.operators.mri_masks import equispaced_mask

OPERATORS = {
    "mri": LinearOperator(equispaced_mask((16, 16), 2, 0.1), FourierTransform()),
    "ct": LinearOperator(jnp.ones((5, 1)), radon_transform(uniform_angles(5), (16, 16))),
}


@pytest.mark.parametrize("modality", ["mri", pytest.param("ct", marks=pytest.mark.slow)])
def test_an_untrained_network_is_gradient_steps_towards_the_data(modality):
    operator = OPERATORS[modality]
    measurement = simulate(jax.random.key(0), operator, jax.random.uniform(jax.random.key(1), (16, 16, 1)), 0.1)
    network = UnrolledNetwork(cascades=2, features=4, levels=1)

    @jax.jit
    def both(measurement):
        image, _ = network.init_with_output(jax.random.key(2), measurement)
        x = operator.pseudo_inverse(measurement.y)
        for _ in range(2):
            x = x + operator.pseudo_inverse(measurement.y - operator(x))
        return image, x

    image, expected = both(measurement)
    assert image.shape == (16, 16, 1)
    np.testing.assert_allclose(image, expected, atol=1e-5)


@pytest.fixture(scope="module")
def config(fast_folder):
    config = shrink(default.get_config(), fast_folder)
    config.operator.center_fraction = 0.1
    config.unrolled.update({"cascades": 1, "features": 4, "levels": 1})
    config.train.update({"steps": 30, "batch_size": 2, "learning_rate": 3e-3, "warmup": 1, "decay": "none"})
    config.train.update({"checkpoint_every": 15, "validation_images": 3, "ema": 0.9})
    return config


def test_training_lowers_the_error_resumes_and_the_network_is_a_method(config, tmp_path):
    unroll(config, tmp_path / "run")
    losses = pd.read_csv(tmp_path / "run" / "losses.csv")
    assert losses["step"].tolist() == [15, 30] and losses["validation"].is_monotonic_decreasing
    config.train.steps = 31
    unroll(config, tmp_path / "run")
    assert pd.read_csv(tmp_path / "run" / "losses.csv")["step"].tolist() == [15, 30, 31]
    config.supervised.unrolled = str(tmp_path / "run")
    config.evaluate.methods = ("direct", "unrolled")
    config.operator.acceleration = (2.0, 4.0)
    summary = evaluate(config, tmp_path / "evaluation")
    at_4x = summary[summary["operator"] == "4x"].set_index("method")
    assert at_4x.loc["unrolled", "psnr_mean"] > at_4x.loc["direct", "psnr_mean"] + 0.3
    assert len(summary) == 4 and set(at_4x["network_calls"]) == {0, 2}


def test_mistakes_get_one_line(config, tmp_path):
    several = config.copy_and_resolve_references()
    several.operator.acceleration = (2.0, 4.0)
    with pytest.raises(ValueError, match="trained for one operator, got 2"):
        unroll(several, tmp_path / "out")
    several.supervised.unrolled = several.prior
    several.evaluate.methods = ("unrolled",)
    with pytest.raises(ValueError, match=r"holds no unrolled network; train one with --mode=unroll"):
        evaluate(several, tmp_path / "out")
    assert not (tmp_path / "out").exists()
