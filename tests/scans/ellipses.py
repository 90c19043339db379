"""Exact line integrals of a few ellipses, as scanners of every kind see them."""

import numpy as np

# value, centre right and up, half axes, tilt in degrees, in half image sides
ELLIPSES = ((1.0, 0.03, -0.04, 0.7, 0.5, 0), (-0.6, -0.3, 0.1, 0.2, 0.3, 15), (0.8, 0.2, -0.25, 0.12, 0.08, -30))


def line_integrals(theta, s, side, ellipses=ELLIPSES):
    """Along u cos(theta) + v sin(theta) = s, in pixels."""
    total = np.zeros(np.broadcast(theta, s).shape)
    for value, right, up, a, b, tilt in ellipses:
        right, up, a, b = (side / 2 * length for length in (right, up, a, b))
        turned = theta - np.deg2rad(tilt)
        squared = (a * np.cos(turned)) ** 2 + (b * np.sin(turned)) ** 2
        t = s - right * np.cos(theta) - up * np.sin(theta)
        total += value * 2 * a * b * np.sqrt(np.maximum(squared - t**2, 0)) / squared
    return total


def parallel(side, angles, detectors, axis=None, pitch=1.0):
    """[views, detectors], each the mean of four rays."""
    axis = (detectors - 1) / 2 if axis is None else axis
    fine = (np.arange(4) - 1.5) / 4
    s = pitch * ((np.arange(detectors) - axis)[:, None] + fine)
    return line_integrals(np.asarray(angles)[:, None, None], s, side).mean(-1)


def fan(side, angles, gamma, source_to_axis):
    """[views, columns] of a source at source_to_axis pixels."""
    return line_integrals(np.asarray(angles)[:, None] + gamma, source_to_axis * np.sin(gamma), side)


def image(side, fine=6):
    """[side, side, 1], each pixel the mean of fine x fine points."""
    c = (np.arange(side * fine) + 0.5) / fine - side / 2
    u, v = np.meshgrid(c, -c)
    total = np.zeros_like(u)
    for value, right, up, a, b, tilt in ELLIPSES:
        right, up, a, b = (side / 2 * length for length in (right, up, a, b))
        x, y = u - right, v - up
        p, q = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
        total += value * (((x * p + y * q) / a) ** 2 + ((y * p - x * q) / b) ** 2 <= 1)
    return total.reshape(side, fine, side, fine).mean((1, 3))[..., None].astype(np.float32)
