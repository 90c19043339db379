"""Conjugate gradients, on a self-adjoint operator and on the normal equations of any."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Inexact

from scoreinv.typing import Image

Coefficients = Inexact[Array, "..."]


def inner(a: Inexact[Array, "*shape"], b: Inexact[Array, "*shape"]) -> Float[Array, ""]:
    """The real inner product Re<a, b>, for which a complex image is two real channels."""
    return jnp.sum(jnp.real(a) * jnp.real(b) + jnp.imag(a) * jnp.imag(b))


def ratio(a: Float[Array, ""], b: Float[Array, ""]) -> Float[Array, ""]:
    """a / b of a conjugate-gradient step, 0 where b is: at a residual of exactly zero nothing is left to do."""
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)


def conjugate_gradient(
    matvec: Callable[[Array], Array],
    b: Inexact[Array, "*shape"],
    x0: Inexact[Array, "*shape"],
    steps: int,
    preconditioner: Callable[[Array], Array] | None = None,
) -> Inexact[Array, "*shape"]:
    """A fixed number of preconditioned conjugate-gradient steps on M x = b (Hestenes and Stiefel 1952).

    Args:
        matvec: x -> M x with M self-adjoint and positive semidefinite for Re<a, b>.
        b: right-hand side.
        x0: start.
        steps: number of steps, one `matvec` each besides that of the start.
        preconditioner: r -> approximation of M^-1 r, self-adjoint and positive; identity if None.

    Returns:
        The iterate. A residual at the rounding error of b and M x0 stays there: what is left of it lies partly in the
        null space of a singular M, along which a step has no end.
    """
    precondition = preconditioner or (lambda r: r)
    start = matvec(x0)
    rounding = 64 * float(jnp.finfo(b.dtype).eps) ** 2 * (inner(b, b) + inner(start, start))

    def step(carry, _):
        x, r, p, rho = carry
        q = matvec(p)
        a = jnp.where(inner(r, r) > rounding, ratio(rho, inner(p, q)), 0)
        r = r - a * q
        z = precondition(r)
        rho_next = inner(r, z)
        return (x + a * p, r, z + ratio(rho_next, rho) * p, rho_next), None

    r = b - start
    z = precondition(r)
    return jax.lax.scan(step, (x0, r, z, inner(r, z)), length=steps)[0][0]


def least_squares(
    forward: Callable[[Image], Coefficients],
    adjoint: Callable[[Coefficients], Image],
    y: Coefficients,
    steps: int,
    weight: Callable[[Coefficients], Coefficients] | None = None,
) -> Image:
    """A^+ y: conjugate gradients on the weighted normal equations A^H W A x = A^H W y, started at zero.

    The iterates lie in the range of A^H, so the limit is the minimum-norm solution for consistent y and the W-least-
    squares image for noisy y; conjugate gradients on A A^H w = y would divide by zero once a residual leaves the range
    of A. With consistent y the map e -> e - lam A^+ A e never expands for lam in [0, 2], after any number of steps: the
    iterates x_k approach the solution x monotonically with <x_k, x - x_k> >= 0 (Hestenes and Stiefel 1952, section 6).

    Args:
        forward: x -> A x.
        adjoint: y -> A^H y, its exact adjoint.
        y: zero-filled coefficients.
        steps: number of steps, one `forward` and one `adjoint` each; it stops early where the gradient has shrunk a
            million times.
        weight: y -> W y, self-adjoint and positive on the measured samples, close to (A A^H)^+; identity if None.

    Returns:
        The image [H, W, C].
    """
    weigh = weight or (lambda r: r)
    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(adjoint, y))

    def step(carry, _):
        x, r, p, rho, largest = carry
        s = adjoint(r)
        rho_next = inner(s, s)
        largest = jnp.maximum(largest, rho_next)
        p = s + ratio(rho_next, rho) * p
        q = forward(p)
        wq = weigh(q)
        a = ratio(rho_next, inner(q, wq))
        # A gradient at rounding level: stay. The steps after convergence (one, for a Fourier mask) would grow.
        a = jnp.where(rho_next > 1e-12 * largest, a, 0.0)
        return (x + a * p, r - a * wq, p, rho_next, largest), None

    none = jnp.zeros(())
    return jax.lax.scan(step, (zero, weigh(y), zero, none, none), length=steps)[0][0]
