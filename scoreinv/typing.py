"""The array types that signatures share."""

from jaxtyping import Array, Float

# One image; a block of slices that are reconstructed together (operators/stacked.py) has a further axis in front.
Image = Float[Array, "*slices H W C"]
# A number of a method or diffusion: as data of a compiled program, or as written down.
Scalar = Float[Array, ""] | float
# A point of a diffusion in [0, 1]; 0 is data.
Time = Float[Array, ""]
# Where a sampler stops, descending.
Times = Float[Array, " levels"]
