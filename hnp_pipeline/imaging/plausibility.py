"""Whether a readable picture may be a radiograph at all: asked of pictures that no hospital's table vouches for.

It says nothing of which body part is shown; a gray photograph passes.
"""

import cv2
import numpy as np

from hnp_pipeline.imaging.formats import Format, Header, UnreadableImageError

_SMALLEST_SIDE = 64  # pixels; a radiograph has hundreds
_FLATTEST = 8  # gray values between the darkest and the brightest pixel
_OWN_COLOUR = (
    6  # distance in CIELAB from the colour that pixels of this brightness have: a tint goes with brightness
)
_COLOURED_SHARE = 0.25  # of the pixels: coloured marks on a film stay below
_SHADES = 16  # steps of brightness


def require_radiograph(data: bytes, header: Header, gray: np.ndarray) -> None:
    """Refuse a picture that cannot be a radiograph.

    Args:
        data: the file's bytes.
        header: what they declare.
        gray: the same decoded, uint8 (H, W).

    Raises:
        UnreadableImageError: too small, without any contrast, or in colour.
    """
    if min(header.width, header.height) < _SMALLEST_SIDE:
        raise UnreadableImageError(
            f"{header.width}×{header.height} pixels are too few for a radiograph ({_SMALLEST_SIDE} a side at least)"
        )
    if int(gray.max()) - int(gray.min()) < _FLATTEST:
        raise UnreadableImageError("a picture of one shade shows nothing")
    if header.format != Format.DICOM and _coloured(data):
        raise UnreadableImageError("a picture in colour is no radiograph")


def _coloured(data: bytes) -> bool:
    """Whether many pixels differ in colour from others of their brightness; a film in any one tint does not."""
    small = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)
    if small is None:
        return False
    lab = cv2.cvtColor(small, cv2.COLOR_BGR2LAB).reshape(-1, 3).astype(np.float64)
    shade = (lab[:, 0] * _SHADES / 256).astype(np.int64)
    # the median: a mark in colour does not move the tint of the film that it stands on
    tint = np.zeros((_SHADES, 2))
    for s in np.unique(shade):
        tint[s] = np.median(lab[shade == s, 1:], axis=0)
    own = np.hypot(*(lab[:, 1:] - tint[shade]).T)
    return bool(np.mean(own > _OWN_COLOUR) > _COLOURED_SHARE)
