"""A prior: a diffusion, its score function and the image shape it was trained at; and what wraps it for other images.

Every wrapper takes a prior and returns one, so that no sampler knows of complex images, odd sides or shifts.
"""

from collections.abc import Callable
from functools import partial

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from scoreinv.sde import SDE

PLANE = (-3, -2)  # rows and columns of an image [H, W, C], and of each in a block [slices, H, W, C]
ScoreFn = Callable[[Float[Array, "H W C"], Float[Array, ""]], Float[Array, "H W C"]]


@flax.struct.dataclass
class Prior:
    """A score-based image prior (Song et al. 2021).

    A pytree: `score_fn` is usually a `jax.tree_util.Partial` over the network's parameters, so that a prior is passed
    to a compiled function as an argument, never baked into it as constants.

    Attributes:
        sde: the forward diffusion the score belongs to.
        score_fn: (x [H, W, C], t []) -> grad_x log p_t(x) [H, W, C], for one image.
        shape: (H, W, C) of the training images. Other H and W work as far as the network allows.

    >>> prior.shape, prior.score_fn(image, jnp.float32(0.5)).shape
    ((8, 8, 1), (8, 8, 1))
    """

    sde: SDE
    score_fn: ScoreFn
    shape: tuple[int, int, int] = flax.struct.field(pytree_node=False)


def channelwise(prior: Prior, channels: int) -> Prior:
    """A prior used on each of several images alone: on real and imaginary part (Chung and Ye 2022), on coil images.

    Args:
        prior: prior of images of one or two channels, say.
        channels: number of channels of the images it is to serve, a multiple of the prior's.

    Returns:
        The prior of [H, W, channels] images whose parts are independent.

    Raises:
        ValueError: if the number is no multiple.
    """
    height, width, own = prior.shape
    if channels % own:
        raise ValueError(f"a prior of {own} channels cannot serve images of {channels}; give a multiple of {own}")
    return Prior(prior.sde, jax.tree_util.Partial(_channelwise_score, prior), (height, width, channels))


def _channelwise_score(prior: Prior, x, t):
    parts = x.reshape(*x.shape[:2], -1, prior.shape[2])
    return jax.vmap(lambda part: prior.score_fn(part, t), 2, 2)(parts).reshape(x.shape)


def nearly_real(prior: Prior, imaginary_std: Float[Array, ""] | float) -> Prior:
    """A prior of real images and N(0, imaginary_std^2) on the imaginary part, independent of them.

    Args:
        prior: prior of one-channel images.
        imaginary_std: standard deviation of each pixel's imaginary part, in the unit of the image.

    Returns:
        The prior of [H, W, 2] images (real and imaginary part).

    Raises:
        ValueError: if the prior has more than one channel.
    """
    height, width, own = prior.shape
    if own != 1:
        raise ValueError(f"nearly_real needs a prior of 1 channel, got one of {own}; use it as it is")
    score_fn = jax.tree_util.Partial(_nearly_real_score, prior, jnp.float32(imaginary_std))
    return Prior(prior.sde, score_fn, (height, width, 2))


def _nearly_real_score(prior: Prior, imaginary_std, x, t):
    alpha, sigma = prior.sde.marginal_prob(t)
    imaginary = -x[..., 1:] / ((alpha * imaginary_std) ** 2 + sigma**2)
    return jnp.concatenate([prior.score_fn(x[..., :1], t), imaginary], -1)


def turned(prior: Prior, phase: Complex[Array, "H W"]) -> Prior:
    """The prior of complex images phase * x, where x has the given prior: exact, as turning each pixel is orthogonal.

    Args:
        prior: prior of [H, W, 2] images.
        phase: numbers of modulus 1.

    Returns:
        The prior of [H, W, 2] images with that phase.
    """
    return Prior(prior.sde, jax.tree_util.Partial(_turned_score, prior.score_fn, phase), prior.shape)


def _turned_score(score_fn: ScoreFn, phase, x, t):
    return _times(score_fn(_times(x, jnp.conj(phase)), t), phase)


def phase_following(prior: Prior, reach: Float[Array, ""] | float = 4.0) -> Prior:
    """The prior of complex images with a smooth phase that nobody knows: that of the state itself, smoothed.

    phi = L_w x / |L_w x|, score(x) = phi score_0(conj(phi) x): the state is turned by phi, seen by the prior and turned
    back. L_w is a Gaussian low-pass whose standard deviation grows with the noise, w = clip(13 reach sigma / alpha,
    1.5, 12) pixels. As phi depends on the state, it is the score of no density; given phi it is exact (`turned`).
    A constant phase changes nothing.

    Args:
        prior: prior of [H, W, 2] images that are nearly real (`nearly_real`).
        reach: width of the low-pass for noise of a given level, intensities in [0, 1].

    Returns:
        The prior of [H, W, 2] images.
    """
    score_fn = jax.tree_util.Partial(_phase_following_score, prior, jnp.float32(reach))
    return Prior(prior.sde, score_fn, prior.shape)


def _phase_following_score(prior: Prior, reach, x, t):
    alpha, sigma = prior.sde.marginal_prob(t)
    smooth = low_pass(jax.lax.complex(x[..., 0], x[..., 1]), jnp.clip(13 * reach * sigma / alpha, 1.5, 12.0))
    # Where the smoothed state is zero there is no phase, and 0 / tiny would be a pixel turned to zero.
    power = smooth.real**2 + smooth.imag**2
    phase = jnp.where(power > 0, smooth * jax.lax.rsqrt(jnp.where(power > 0, power, 1.0)), 1.0)
    return _turned_score(prior.score_fn, phase, x, t)


def low_pass(z: Complex[Array, "H W"], width: Float[Array, ""] | float) -> Complex[Array, "H W"]:
    """Convolution with a Gaussian of standard deviation `width` pixels, periodic at the edges."""
    gains = [jnp.exp(-2 * (jnp.pi * width * jnp.fft.fftfreq(n)) ** 2) for n in z.shape]
    return jnp.fft.ifft2(jnp.fft.fft2(z) * gains[0][:, None] * gains[1])


def _times(x: Float[Array, "H W 2"], z: Complex[Array, "H W"]) -> Float[Array, "H W 2"]:
    """The product of complex images, the first and the result as channels."""
    real, imaginary = x[..., 0], x[..., 1]
    return jnp.stack([real * z.real - imaginary * z.imag, real * z.imag + imaginary * z.real], -1)


def padded(prior: Prior) -> Prior:
    """The prior at any height and width: images are reflected at two edges up to what the network takes.

    The score of what was added is dropped. Sides that the network takes stay as they are.

    Args:
        prior: the prior.

    Returns:
        The prior for images of any sides.
    """
    multiple = side_multiple(prior)
    return Prior(prior.sde, jax.tree_util.Partial(partial(_padded_score, multiple), prior.score_fn), prior.shape)


def _padded_score(multiple: int, score_fn: ScoreFn, x, t):
    height, width, _ = x.shape
    margins = [(0, -n % multiple) for n in (height, width)]
    # Reflection keeps the noise's statistics; a side of one pixel has nothing to reflect, "symmetric" repeats it.
    return score_fn(jnp.pad(x, [*margins, (0, 0)], mode="symmetric"), t)[:height, :width]


def cycle_spinning(prior: Prior, period: int) -> Prior:
    """The prior seen through a random circular shift at each call, so that no grid of the network stays in place.

    Coifman and Donoho 1995, with one random shift per call instead of the mean over all: a sampler's many calls average
    them. The shift is drawn from the bits of the state, so that the score remains a function of (x, t).

    Args:
        prior: the prior.
        period: shifts are 0 to period - 1 pixels along both axes; the network's patch side or a multiple of it.

    Returns:
        The prior; at period 1 the same score.
    """
    return Prior(prior.sde, jax.tree_util.Partial(_spun_score, prior.score_fn, jnp.int32(period)), prior.shape)


def _spun_score(score_fn: ScoreFn, period, x, t):
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    shift = jax.random.randint(jax.random.key(bits.sum(dtype=jnp.uint32)), (2,), 0, period)
    return jnp.roll(score_fn(jnp.roll(x, shift, PLANE), t), -shift, PLANE)


def side_multiple(prior: Prior) -> int:
    """The number that height and width must be multiples of: the smallest power of two at which the network runs."""
    for multiple in (2**i for i in range(12)):
        x = jax.ShapeDtypeStruct((multiple, multiple, prior.shape[2]), jnp.float32)
        try:
            jax.eval_shape(prior.score_fn, x, jax.ShapeDtypeStruct((), jnp.float32))
        except ValueError:
            continue
        return multiple
    raise ValueError(f"the prior runs at no image side up to {multiple}; its channel count is {prior.shape[2]}")


def stacked(prior: Prior) -> Prior:
    """The prior of a block of independent slices [slices, H, W, C], each as the prior sees images.

    Args:
        prior: prior of one slice.

    Returns:
        A prior whose score is that of every slice by itself.
    """
    return Prior(prior.sde, jax.tree_util.Partial(_stacked_score, prior.score_fn), prior.shape)


def _stacked_score(score_fn: ScoreFn, x, t):
    return jax.vmap(lambda one: score_fn(one, t))(x)


def alternating(prior: Prior, at_once: int = 8) -> Prior:
    """The prior of a block [slices, H, W, C] of cubes, seen in planes across another of its three axes at each call.

    A prior of planes knows nothing of their neighbours; seen in turn along all axes, every pair of neighbours lies in
    planes that it knows (Lee et al. 2023, who alternate two priors). The axis is drawn from the bits of the time, so
    that all draws of a program look along the same one and only that is computed.

    Args:
        prior: prior of planes.
        at_once: planes that the network sees together.

    Returns:
        The prior of blocks.
    """
    score_fn = jax.tree_util.Partial(partial(_alternating_score, at_once), padded(prior).score_fn)
    return Prior(prior.sde, score_fn, prior.shape)


def _alternating_score(at_once: int, score_fn: ScoreFn, x, t):
    def across(axis: int):
        def score(x):
            planes = jnp.moveaxis(x, axis, 0)
            return jnp.moveaxis(jax.lax.map(lambda one: score_fn(one, t), planes, batch_size=at_once), 0, axis)

        return score

    axis = jax.random.randint(jax.random.key(jax.lax.bitcast_convert_type(t, jnp.uint32)), (), 0, 3)
    return jax.lax.switch(axis, [across(axis) for axis in range(3)], x)
