"""The NCSN++ score network (Song et al., ICLR 2021, appendix H), the network of the paper's CT and MRI priors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from scoreinv.models import layers, resample
from scoreinv.models.layers import Attention, Conv, GroupNorm, ResnetBlock, add_residual

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "swish": nn.swish,
    "relu": nn.relu,
    "elu": nn.elu,
    "lrelu": partial(nn.leaky_relu, negative_slope=0.2),
}
CHOICES = {
    "nonlinearity": tuple(ACTIVATIONS),
    "progressive": ("none", "output_skip", "residual"),
    "progressive_input": ("none", "input_skip", "residual"),
    "progressive_combine": ("sum", "cat"),
    "embedding_type": ("fourier", "positional"),
    "resblock_type": ("biggan", "ddpm"),
}


class NCSNpp(nn.Module):
    """NCSN++ of Song et al. 2021: a U-Net of residual blocks with FIR resampling and input and output pyramids.

    `model.apply({"params": params}, x, sigma)` maps noisy images x [N, H, W, C] and noise levels sigma [N] to
    [N, H, W, C], with the defaults the score of x. H and W must be multiples of `patch_size` 2^(number of levels - 1).

    Attributes:
        nf: channels of the first level.
        ch_mult: channels of every level as multiples of `nf`; each level halves the image.
        num_res_blocks: residual blocks of every level on the way down; one more on the way up.
        attn_resolutions: sides of the levels that have attention, when the input has side `image_size`.
        image_size: side that `attn_resolutions` refers to; a level has side image_size / patch_size / 2^level.
        num_channels: image channels.
        patch_size: p > 1 runs the network on p x p pixels stacked as channels. Not in the paper: it divides the cost by
            about p^2.
        fir: resample with `fir_kernel`; otherwise by repeating and averaging pixels.
        fir_kernel: one-dimensional FIR filter.
        progressive: output pyramid, "none", "output_skip" or "residual".
        progressive_input: input pyramid, "none", "input_skip" or "residual".
        progressive_combine: how "input_skip" joins the features, "sum" or "cat".
        embedding_type: "fourier" embeds log sigma by fixed random frequencies; "positional" embeds the label given as
            `sigma` by sinusoids, as published for integer time steps.
        fourier_scale: standard deviation of the frequencies.
        skip_rescale: divides every residual sum by sqrt(2).
        resblock_type: "biggan" resamples inside residual blocks, "ddpm" between them.
        resamp_with_conv: "ddpm" only: resampling is followed or preceded by a 3 x 3 convolution.
        conditional: whether the network sees the noise level at all.
        nonlinearity: "swish", "relu", "elu" or "lrelu".
        init_scale: initial scale of the last convolution of every branch; 0 starts at 1e-10.
        scale_by_sigma: divides the output by sigma.
        data_centered: the input is not mapped by 2 x - 1 first.
        dropout: dropout rate inside residual blocks; active when called with train=True and a "dropout" key.
        dtype: type of the convolutions; parameters, normalisation and output are float32.
        remat: recompute the residual blocks in the backward pass instead of storing their activations.
        label_sigmas: (sigma_min, sigma_max, n) when the labels given as `sigma` are indices 0 ... n - 1 into the
            geometric sequence from sigma_max to sigma_min, as in published networks of discrete noise levels.
    """

    nf: int = 32
    ch_mult: tuple[int, ...] = (1, 2, 2)
    num_res_blocks: int = 1
    attn_resolutions: tuple[int, ...] = ()
    image_size: int = 128
    num_channels: int = 1
    patch_size: int = 1
    fir: bool = True
    fir_kernel: tuple[int | float, ...] = (1, 3, 3, 1)
    progressive: str = "output_skip"
    progressive_input: str = "input_skip"
    progressive_combine: str = "sum"
    embedding_type: str = "fourier"
    fourier_scale: float = 16.0
    skip_rescale: bool = True
    resblock_type: str = "biggan"
    resamp_with_conv: bool = True
    conditional: bool = True
    nonlinearity: str = "swish"
    init_scale: float = 0.0
    scale_by_sigma: bool = True
    data_centered: bool = False
    dropout: float = 0.0
    dtype: Any = jnp.float32
    remat: bool = False
    label_sigmas: tuple[float, float, int] | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "N H W C"], sigma: Float[Array, " N"], train: bool = False
    ) -> Float[Array, "N H W C"]:
        self._check(x.shape)
        embedding = self._embed(sigma)
        pixels = x if self.data_centered else 2 * x - 1
        pixels = resample.space_to_depth(pixels, self.patch_size)
        h, skips = self._down(pixels, embedding, train)
        h = self._block("middle_block_0")(h, embedding, train)
        h = self._attention("middle_attention")(h)
        h = self._block("middle_block_1")(h, embedding, train)
        h = self._up(h, skips, pixels.shape[-1], embedding, train)
        h = resample.depth_to_space(h.astype(jnp.float32), self.patch_size)
        return h / self._noise_level(sigma)[:, None, None, None] if self.scale_by_sigma else h

    def _noise_level(self, label):
        if self.label_sigmas is None:
            return label
        sigma_min, sigma_max, count = self.label_sigmas
        return jnp.geomspace(sigma_max, sigma_min, count)[label.astype(jnp.int32)]

    def _down(self, pixels, embedding, train):
        """Features of the lowest level and the stack of features for the way up."""
        pyramid, h = pixels, Conv(self.nf, 3, self.dtype, name="conv_in")(pixels)
        skips = [h]
        for level, multiplier in enumerate(self.ch_mult):
            for i in range(self.num_res_blocks):
                h = self._block(f"down_{level}_block_{i}", self.nf * multiplier)(h, embedding, train)
                if self.has_attention(level):
                    h = self._attention(f"down_{level}_attention_{i}")(h)
                skips.append(h)
            if level < len(self.ch_mult) - 1:
                h = self._resample_features(h, embedding, train, f"down_{level}_resample", up=False)
                pyramid, h = self._join_input(pyramid, h, level)
                skips.append(h)
        return h, skips

    def _join_input(self, pyramid, h, level):
        """The input pyramid at the next level, and the features joined with it."""
        if self.progressive_input == "none":
            return pyramid, h
        if self.progressive_input == "residual":
            pyramid = self._resample_plain(pyramid, h.shape[-1], f"down_{level}_pyramid", up=False, with_conv=True)
            h = add_residual(pyramid, h, self.skip_rescale)
            return h, h
        pyramid = self._resample_plain(pyramid, None, "", up=False, with_conv=False)
        projected = Conv(h.shape[-1], 1, self.dtype, name=f"down_{level}_combine")(pyramid)
        return pyramid, projected + h if self.progressive_combine == "sum" else jnp.concatenate([projected, h], -1)

    def _up(self, h, skips, channels, embedding, train):
        """The way up; returns the network's output before scaling."""
        pyramid = None
        for level in reversed(range(len(self.ch_mult))):
            for i in range(self.num_res_blocks + 1):
                h = jnp.concatenate([h, skips.pop()], -1)
                h = self._block(f"up_{level}_block_{i}", self.nf * self.ch_mult[level])(h, embedding, train)
            if self.has_attention(level):
                h = self._attention(f"up_{level}_attention")(h)
            pyramid, h = self._join_output(pyramid, h, level, channels)
            if level > 0:
                h = self._resample_features(h, embedding, train, f"up_{level}_resample", up=True)
        return pyramid if self.progressive == "output_skip" else self._head("out", h, channels, self.init_scale)

    def _join_output(self, pyramid, h, level, channels):
        """The output pyramid at this level, and the features joined with it."""
        if self.progressive == "none":
            return None, h
        lowest = level == len(self.ch_mult) - 1
        if self.progressive == "output_skip":
            output = self._head(f"up_{level}", h, channels, self.init_scale).astype(jnp.float32)
            return output if lowest else output + self._resample_plain(pyramid, None, "", up=True, with_conv=False), h
        if lowest:
            return self._head(f"up_{level}", h, h.shape[-1], 1.0), h
        pyramid = self._resample_plain(pyramid, h.shape[-1], f"up_{level}_pyramid", up=True, with_conv=True)
        h = add_residual(pyramid, h, self.skip_rescale)
        return h, h

    def _head(self, name, h, channels, init_scale):
        h = GroupNorm(ACTIVATIONS[self.nonlinearity], self.dtype, name=f"{name}_norm")(h)
        return Conv(channels, 3, self.dtype, init_scale, name=f"{name}_conv")(h)

    def _embed(self, sigma):
        if not self.conditional:
            return None
        if self.embedding_type == "fourier":
            v = layers.FourierEmbedding(self.nf, self.fourier_scale, name="embedding")(jnp.log(sigma))
        else:
            v = layers.positional_embedding(sigma, self.nf)
        dense = partial(nn.Dense, 4 * self.nf, kernel_init=layers.uniform_init())
        return dense(name="embedding_1")(ACTIVATIONS[self.nonlinearity](dense(name="embedding_0")(v)))

    def _block(self, name, features=None, resample_fn=None):
        block = nn.remat(ResnetBlock, static_argnums=(3,)) if self.remat else ResnetBlock
        return block(
            features=features,
            act=ACTIVATIONS[self.nonlinearity],
            dropout=self.dropout,
            init_scale=self.init_scale,
            skip_rescale=self.skip_rescale,
            dtype=self.dtype,
            shortcut_scale=1.0 if self.resblock_type == "biggan" else 0.1,
            resample=resample_fn,
            name=name,
        )

    def _attention(self, name):
        return Attention(self.init_scale, self.skip_rescale, self.dtype, name=name)

    def has_attention(self, level: int) -> bool:
        """Whether a level has attention besides the one at the bottom, which every network has."""
        return self.image_size // self.patch_size // 2**level in self.attn_resolutions

    def _resample_features(self, h, embedding, train, name, up):
        if self.resblock_type == "ddpm":
            return self._resample_plain(h, h.shape[-1], name, up, self.resamp_with_conv)
        return self._block(name, resample_fn=resample.function(up, self.fir_kernel if self.fir else None))(
            h, embedding, train
        )

    def _resample_plain(self, x, features, name, up, with_conv):
        kernel = self.fir_kernel if self.fir else None
        if with_conv:
            return layers.ResampleConv(features, up, kernel, self.dtype, name=name)(x)
        return resample.function(up, kernel)(x)

    def _check(self, shape):
        for field, allowed in CHOICES.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"NCSNpp: {field}={getattr(self, field)!r} is not one of {', '.join(allowed)}")
        divisor = self.patch_size * 2 ** (len(self.ch_mult) - 1)
        if shape[1] % divisor or shape[2] % divisor:
            raise ValueError(
                f"NCSNpp: image of {shape[1]} x {shape[2]} pixels, but both must be multiples of {divisor} (patch_size "
                f"{self.patch_size}, {len(self.ch_mult)} levels); pad or crop the image, or use fewer levels"
            )
        if shape[3] != self.num_channels:
            raise ValueError(f"NCSNpp: image has {shape[3]} channels, but num_channels={self.num_channels}")
