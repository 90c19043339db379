"""The classical one-shot image: zero-filled inverse FFT for MRI, filtered back-projection for CT."""

from scoreinv.samplers.base import Reconstruct


def direct() -> Reconstruct:
    """T^-1 of the zero-filled samples; CT weights each measured view with the angle it stands for.

    Returns:
        (key, measurement) -> image [H, W, C]; the key is not used.

    >>> scoreinv.direct()(key, measurement).shape
    (8, 8, 1)
    """

    def reconstruct(key, measurement):
        return measurement.operator.inverse(measurement.y)

    return reconstruct
