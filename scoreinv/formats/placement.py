"""Where the slices of a scanner's raw data lie in the patient, from what their readouts say."""

import numpy as np
from jaxtyping import Float, Int

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def placed(
    positions: Float[np.ndarray, "slices 3"],
    directions: Float[np.ndarray, "3 3"],
    spacing: Float[np.ndarray, "3"],
    matrix: Int[np.ndarray, "2"],
) -> tuple[Int[np.ndarray, " slices"], Float[np.ndarray, "4 4"]]:
    """The slices in the order in which they lie, and the affine of the image [slices, rows, columns].

    Args:
        positions: of the middle of each slice, mm to the left, posterior and superior (DICOM's axes).
        directions: unit vectors in which slices, rows and columns count, in the same axes.
        spacing: of rows, columns and slices, mm; that of slices counts where there is one.
        matrix: (rows, columns) of the image.

    Returns:
        (order: the scanner's numbers of the slices, as they are where their positions rise or fall; affine, from
        (slice, row, column) to mm to the right, anterior and superior).
    """
    along = positions @ directions[0]
    rising, falling = np.all(np.diff(along) >= 0), np.all(np.diff(along) <= 0)
    order = np.arange(len(along)) if rising or falling else np.argsort(along, kind="stable")
    first, last = positions[order[0]], positions[order[-1]]
    apart = len(order) > 1 and np.linalg.norm(last - first) > 1e-3
    affine = np.eye(4)
    affine[:3, 0] = (last - first) / (len(order) - 1) if apart else directions[0] * spacing[2]
    affine[:3, 1], affine[:3, 2] = directions[1] * spacing[0], directions[2] * spacing[1]
    affine[:3, 3] = first - affine[:3, 1:3] @ (matrix // 2)  # a position is that of the pixel in the middle
    return order, LPS_TO_RAS @ affine
