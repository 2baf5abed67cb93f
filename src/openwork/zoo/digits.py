"""Handwritten digits: 1,797 real images that come with scikit-learn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Digits:
    """Images float32[N, 1, 16, 16] in [0, 1] and labels int64[N] from 0 to 9.

    Held-out images are never trained on.
    """

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    held_out_images: NDArray[np.float32]
    held_out_labels: NDArray[np.int64]


def load_digits_split(seed: int = 0, *, held_out: float = 0.2) -> Digits:
    """The digits, enlarged from 8x8 to 16x16 and split at random, with equal shares of every digit.

    Args:
        held_out: the fraction of images in the held-out part. One of 360 images is 0.28 points of accuracy.
    Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI (its test part).
    """
    # scikit-learn takes a second to import, and only this function needs it.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    source = load_digits()
    images = enlarge(source.images.astype(np.float32) / 16)[:, np.newaxis]
    labels = source.target.astype(np.int64)
    train, other = train_test_split(
        np.arange(len(labels)), test_size=held_out, stratify=labels, random_state=seed, shuffle=True
    )
    return Digits(images[train], labels[train], images[other], labels[other])


def enlarge(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images [N, H, W] twice as high and wide: bilinear, half-pixel centres, edge pixels repeated."""
    for axis in (1, 2):
        images = _double(images, axis)
    return images


def _double(images: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Two pixels for each: three quarters of it and one quarter of its neighbour on that side."""
    indices = np.arange(images.shape[axis])
    before = images.take(indices - 1, axis, mode="clip")
    after = images.take(indices + 1, axis, mode="clip")
    pairs = np.stack([0.75 * images + 0.25 * before, 0.75 * images + 0.25 * after], axis=axis + 1)
    shape = list(images.shape)
    shape[axis] *= 2
    return pairs.reshape(shape).astype(np.float32)
