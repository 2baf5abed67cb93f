import numpy as np
import pytest
import torch
from torch.nn import functional as F

from openwork.zoo import Digits, load_digits_split
from openwork.zoo.digits import enlarge


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits_split(seed=3)


def test_shapes_types_and_range(digits: Digits) -> None:
    assert digits.train_images.shape == (1437, 1, 16, 16)
    assert digits.held_out_images.shape == (360, 1, 16, 16)
    assert digits.train_images.dtype == digits.held_out_images.dtype == np.float32
    assert digits.train_labels.dtype == digits.held_out_labels.dtype == np.int64
    assert digits.train_images.min() == 0
    assert digits.train_images.max() == 1


def test_every_digit_has_its_share(digits: Digits) -> None:
    train, held_out = np.bincount(digits.train_labels), np.bincount(digits.held_out_labels)
    assert len(train) == 10
    assert np.abs(held_out / (train + held_out) - 0.2).max() < 0.01


def test_no_image_is_in_both_parts(digits: Digits) -> None:
    train = {image.tobytes() for image in digits.train_images}
    assert not train & {image.tobytes() for image in digits.held_out_images}


def test_the_seed_decides_the_split(digits: Digits) -> None:
    assert np.array_equal(load_digits_split(seed=3).held_out_images, digits.held_out_images)
    assert not np.array_equal(load_digits_split(seed=4).held_out_images, digits.held_out_images)


def test_images_are_enlarged_as_torch_does_it() -> None:
    images = np.random.default_rng(0).random((3, 8, 5), dtype=np.float32)
    expected = F.interpolate(torch.from_numpy(images)[:, None], scale_factor=2, mode="bilinear")[:, 0].numpy()
    np.testing.assert_allclose(enlarge(images), expected, rtol=0, atol=1e-6)
