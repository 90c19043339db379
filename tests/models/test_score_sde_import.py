"""The published network, number for number, from a checkpoint in the published format."""

import json
import os
from pathlib import Path

import flax.serialization
import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import msgpack
import numpy as np
import pytest

from experiments.benchmarks import published_ncsnpp
from scoreinv import load_prior
from scoreinv.models.ncsnpp import NCSNpp
from scoreinv.models.score_sde_import import import_score_sde

REFERENCE = Path(__file__).parent / "ncsnpp_small"
SMALL = {
    **json.loads((REFERENCE / "config.json").read_text()),
    **{"image_size": 8, "nf": 8, "ch_mult": [1, 2], "attn_resolutions": [4]},
    **{"sigma_min": 0.01, "sigma_max": 50.0, "num_scales": 1000},
}
# Their parameters are counted and placed by the fast tests below.
slow = pytest.mark.slow
DDPM = {"resblock_type": "ddpm", "progressive": "residual", "progressive_input": "residual"}


def compile_fast(fn):
    """jit that spends little on the speed of the program."""
    return jax.jit(fn, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def config():
    return json.loads((REFERENCE / "config.json").read_text())


@pytest.fixture
def write(tmp_path):
    def write(state):
        path = tmp_path / "checkpoint_3"
        path.write_bytes(flax.serialization.msgpack_serialize(state))
        return path

    return write


def relative_error(config, state, path, shape):
    """Largest difference between our forward and the reference's, over the reference's range."""
    model, params = import_score_sde(path, config)
    x = np.random.default_rng(0).random((2, *shape, config["num_channels"])).astype(np.float32)
    label = jnp.array([0.05, 3.0]) if config["embedding_type"] == "fourier" else jnp.array([3.0, 998.0])
    flat = flax.traverse_util.flatten_dict(state["params_ema"], sep="/")
    expected = compile_fast(lambda p, x, label: published_ncsnpp.forward(p, config, x, label))(flat, x, label)
    found = compile_fast(model.apply)({"params": params}, x, label)
    assert found.shape == x.shape
    return float(np.abs(found - expected).max() / np.ptp(expected))


def test_reproduces_the_published_forward(config):
    model, params = import_score_sde(REFERENCE / "checkpoint_1", config)
    expected = np.load(REFERENCE / "io.npz")
    found = compile_fast(model.apply)({"params": params}, expected["x"], expected["sigma"])
    assert np.abs(found - expected["y"]).max() < 1e-4 * np.ptp(expected["y"])


def test_the_reference_reproduces_the_published_forward(config):
    state = flax.serialization.msgpack_restore((REFERENCE / "checkpoint_1").read_bytes())
    flat = flax.traverse_util.flatten_dict(state["params_ema"], sep="/")
    expected = np.load(REFERENCE / "io.npz")
    found = compile_fast(lambda *args: published_ncsnpp.forward(args[0], config, *args[1:]))(
        flat, expected["x"], expected["sigma"]
    )
    assert np.abs(found - expected["y"]).max() < 1e-5 * np.ptp(expected["y"])


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"num_res_blocks": 2, "num_channels": 2, "attn_resolutions": [8, 4]}, marks=slow),
        {"progressive_combine": "cat", "progressive": "none", "nonlinearity": "lrelu", "skip_rescale": False},
        {"progressive": "residual", "progressive_input": "residual", "fir_kernel": [1, 2, 4, 3], "ch_mult": [2, 1]},
        {"embedding_type": "positional", "attn_resolutions": [], "data_centered": True, "nonlinearity": "relu"},
        pytest.param({**DDPM, "fir_kernel": [1, 2, 1], "scale_by_sigma": False}, marks=slow),
        {**DDPM, "fir": False, "nonlinearity": "elu", "conditional": False, "ch_mult": [1, 3]},
        pytest.param({"resblock_type": "ddpm", "resamp_with_conv": False, "ch_mult": [1, 1, 2]}, marks=slow),
    ],
    ids=lambda changes: "-".join(changes),
)
def test_every_option_is_the_published_one(changes, write):
    config = {**SMALL, **changes}
    state = published_ncsnpp.random_checkpoint(config)
    divisor = 2 ** (len(config["ch_mult"]) - 1)
    assert relative_error(config, state, write(state), (8, 8 + divisor)) < 2e-5


PAPER = {"nf": 32, "num_res_blocks": 2, "image_size": 320}
CT = {**SMALL, **PAPER, "ch_mult": [1, 1, 2, 2, 2, 2, 2], "attn_resolutions": [20]}
MRI = {**SMALL, **PAPER, "ch_mult": [1, 1, 2, 2, 2], "attn_resolutions": [30], "image_size": 240}


@pytest.mark.slow
@pytest.mark.parametrize("config", [CT, MRI], ids=["ct", "mri"])
def test_the_papers_networks(config, write):
    state = published_ncsnpp.random_checkpoint(config)
    assert relative_error(config, state, write(state), (config["image_size"],) * 2) < 1e-4


def test_the_papers_networks_have_every_parameter_in_its_place(write):
    for config in (CT, MRI):
        state = published_ncsnpp.random_checkpoint(config)
        _, params = import_score_sde(write(state), config)
        count = sum(p.size for p in jax.tree.leaves(state["params_ema"]))
        assert sum(p.size for p in jax.tree.leaves(params)) == count > 2e6


def test_modules_without_parameters_are_counted(write):
    """FIR pyramids have no parameters, but take numbers between the resampling convolutions of "ddpm"."""
    config = {**SMALL, "resblock_type": "ddpm", "ch_mult": [1, 1, 1]}
    published = published_ncsnpp.random_checkpoint(config)["params_ema"]
    assert {k for k in published if "sample" in k} == {"Downsample_0", "Downsample_2", "Upsample_0", "Upsample_2"}
    _, params = import_score_sde(write({"params_ema": published}), config)
    for ours, theirs in {"down_1_resample": "Downsample_2", "up_1_resample": "Upsample_2"}.items():
        np.testing.assert_array_equal(params[ours]["kernel"], published[theirs]["Conv2d_0"]["weight"])


def test_other_entries_of_the_checkpoint_do_not_matter(write):
    state = published_ncsnpp.random_checkpoint(SMALL)
    more = {"sigmas": np.linspace(1, 2, 5), "batch_stats": {"mean": np.zeros(3)}}
    plain = import_score_sde(write(state), SMALL)[1]
    named = import_score_sde(write(state | {"model_state": more, "extra": "text", "step": 3}), SMALL)[1]
    nested = import_score_sde(write(state | {"params_ema": {"params": state["params_ema"]}}), SMALL)[1]
    for other in (named, nested):
        assert jax.tree.all(jax.tree.map(np.array_equal, plain, other))


def test_arrays_in_chunks_are_joined(write, monkeypatch):
    state = published_ncsnpp.random_checkpoint(SMALL)
    plain = import_score_sde(write(state), SMALL)[1]
    monkeypatch.setattr(flax.serialization, "MAX_CHUNK_SIZE", 1000)
    path = write(state)
    assert b"__msgpack_chunked_array__" in path.read_bytes()
    assert jax.tree.all(jax.tree.map(np.array_equal, plain, import_score_sde(path, SMALL)[1]))


def test_nested_and_ml_collections_configs(write):
    path = write(published_ncsnpp.random_checkpoint(SMALL))
    data = {"image_size": 8, "num_channels": 1, "centered": True}
    model = {k: v for k, v in SMALL.items() if k not in (*data, "data_centered")} | {"name": "ncsnpp"}
    nested = ml_collections.ConfigDict({"model": model, "data": data, "training": {"sde": "vesde"}})
    found, _ = import_score_sde(path, nested)
    expected, _ = import_score_sde(path, {**SMALL, "data_centered": True})
    assert found == expected and found.data_centered


def test_a_folder_with_checkpoint_and_config_is_a_prior():
    prior, expected = load_prior(str(REFERENCE)), np.load(REFERENCE / "io.npz")
    assert prior.shape == (32, 32, 1)
    score = compile_fast(lambda prior, x, t: prior.score_fn(x, t))
    for x, sigma, y in zip(expected["x"], expected["sigma"], expected["y"], strict=True):
        found = score(prior, jnp.asarray(x), prior.sde.time_at(jnp.asarray(sigma)))
        assert np.abs(found - y).max() < 1e-4 * np.ptp(expected["y"])


@pytest.mark.parametrize(
    ("changes", "sde", "label", "factor"),
    [
        ({"embedding_type": "positional"}, "vesde", lambda t, sigma: np.round((1 - t) * 999), 1.0),
        ({"embedding_type": "positional", "scale_by_sigma": False}, "vpsde", lambda t, sigma: 999 * t, "-1/sigma"),
        ({}, "subvpsde", lambda t, sigma: 999 * t, "-1/sigma"),
    ],
    ids=["discrete ve", "vp", "subvp"],
)
def test_labels_and_scale_of_every_published_sde(changes, sde, label, factor, write, monkeypatch):
    """The network is called with the published label, and its output is turned into the score as published."""
    config = {**SMALL, **changes}
    path = write(published_ncsnpp.random_checkpoint(config))
    nested = {"model": config, "data": {"centered": False}, "training": {"sde": sde}}
    (path.parent / "config.json").write_text(json.dumps(nested))
    seen = []
    monkeypatch.setattr(NCSNpp, "apply", lambda self, variables, x, label: seen.append(label) or x)
    prior, x, t = load_prior(str(path.parent)), jnp.full((8, 8, 1), 0.3), jnp.float32(0.37)
    assert type(prior.sde).__name__.lower() == sde
    _, sigma = prior.sde.marginal_prob(t)
    found = prior.score_fn(x, t)
    np.testing.assert_allclose(found, x if factor == 1.0 else -x / sigma, rtol=1e-6)
    np.testing.assert_allclose(seen[-1], [label(np.float32(0.37), sigma)], rtol=1e-6)


def refuse(path, config, match):
    with pytest.raises(ValueError, match=match) as error:
        import_score_sde(path, config)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"nf": 16}, "config"),
        ({"num_res_blocks": 2}, "no parameter"),
        ({"attn_resolutions": []}, "parameters that the config has no place for|shape"),
        ({"ch_mult": [1, 2, 2, 2, 2]}, "shape"),
        ({"ch_mult": []}, "ch_mult"),
        ({"image_size": 30}, "image_size=30 is no multiple of 4"),
        ({"ch_mult": 2}, "ch_mult=2; give a list"),
        ({"nf": "8"}, "nf='8'; give a positive integer"),
        ({"nf": -8}, "nf=-8"),
        ({"fir_kernel": [1, "3"]}, "fir_kernel"),
        ({"name": "ddpm"}, "ncsnpp"),
        ({"nonlinearity": "gelu"}, "nonlinearity"),
        ({"progressive": None}, "progressive"),
        ({"embedding_type": "positional"}, "sigma_min|no place|no parameter"),
    ],
)
def test_another_config_is_refused(config, changes, match):
    refuse(REFERENCE / "checkpoint_1", {**config, **changes}, match)


def test_a_config_without_a_field_is_refused(config):
    refuse(REFERENCE / "checkpoint_1", {k: v for k, v in config.items() if k != "fir"}, "lacks fir")


def test_missing_and_foreign_files_are_refused(config, tmp_path):
    refuse(tmp_path / "missing", config, "does not exist")
    refuse(tmp_path, config, "does not exist")
    for name, content in {
        "empty": b"",
        "text": b"not msgpack at all",
        "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
        "other": flax.serialization.msgpack_serialize({"params": np.zeros(3)}),
        "list": msgpack.packb({"params_ema": [1, 2, 3]}),
    }.items():
        (tmp_path / name).write_bytes(content)
        refuse(tmp_path / name, config, name)


def packed_array(shape, dtype, buffer):
    return msgpack.ExtType(1, msgpack.packb((shape, dtype, buffer), use_bin_type=True))


@pytest.mark.parametrize(
    "content",
    [
        b"\xdd\xff\xff\xff\xff",  # an array of 2^32 - 1 items in 5 bytes
        b"\xc6\xff\xff\xff\xff",  # 4 GiB of bytes in 5 bytes
        b"\x81\xa1a" * 5000,  # nested deeper than any parser's stack
        msgpack.packb({"params_ema": {"Conv_0": packed_array((2**40,), "float32", b"1234")}}),
        msgpack.packb({"params_ema": {"Conv_0": packed_array((1,), "object", b"12345678")}}),
        msgpack.packb({"params_ema": {"Conv_0": packed_array((1,), "no such type", b"1234")}}),
        msgpack.packb({"params_ema": {"Conv_0": {"__msgpack_chunked_array__": True}}}),
        msgpack.packb({"params_ema": {1: {b"2": 3}}}),
        msgpack.packb({"params_ema": {"Conv_0": {"kernel": "import os", "bias": None}}}),
    ],
    ids=["items", "bytes", "depth", "shape", "object", "dtype", "chunks", "keys", "text"],
)
def test_malicious_files_are_refused(config, content, tmp_path):
    (tmp_path / "checkpoint_1").write_bytes(content)
    refuse(tmp_path / "checkpoint_1", config, "checkpoint")


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(config, fraction, tmp_path):
    content = (REFERENCE / "checkpoint_1").read_bytes()
    (tmp_path / "checkpoint_1").write_bytes(content[: int(fraction * len(content))])
    refuse(tmp_path / "checkpoint_1", config, "not a whole flax msgpack checkpoint")


def test_a_file_larger_than_the_limit_is_not_read(config, tmp_path):
    with (tmp_path / "checkpoint_1").open("wb") as file:
        os.truncate(file.fileno(), 2**33 + 1)  # sparse: takes no room on the disk
    refuse(tmp_path / "checkpoint_1", config, "8589934593 bytes, more than")


@pytest.mark.parametrize(
    ("value", "match"),
    [(np.full((3, 3, 1, 8), np.nan, np.float32), "NaN or Inf"), (np.zeros((3, 3, 1, 8), np.int32), "real numbers")],
)
def test_parameters_that_are_no_finite_numbers_are_refused(write, value, match):
    state = published_ncsnpp.random_checkpoint(SMALL)
    state["params_ema"]["Conv_0"]["kernel"] = value
    refuse(write(state), SMALL, match)
