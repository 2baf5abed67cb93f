"""Image files as input arrays: decode, resize, normalise, quantize."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from openwork.errors import DataError
from openwork.files import check_regular
from openwork.frontends.tensor_spec import TensorSpec

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".webp"})

_PILLOW_MODES = {1: "L", 3: "RGB"}
_CHANNELS = ((1,), (3,))
_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})


@dataclass(frozen=True)
class ImagePreprocess:
    """How pixels become inputs: (pixel - mean) / scale, with pixels from 0 to 255.

    mean, scale: one value, or one per channel. The default maps to [0, 1]; ImageNet's usual normalisation is
    mean (123.675, 116.28, 103.53), scale (58.395, 57.12, 57.375).
    """

    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (255.0,)

    def __post_init__(self) -> None:
        if not all(isfinite(value) for value in self.mean + self.scale) or 0 in self.scale:
            raise DataError(f"image mean {self.mean}, scale {self.scale}: not finite or zero; give other values")


def image_files(path: Path) -> list[Path]:
    """The image itself, or all images in a folder and the folders below it, sorted by path.

    Raises: DataError: the folder holds none.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{path}: holds no image; put {', '.join(sorted(SUFFIXES))} files there")
    return files


def read_image(path: Path, tensor: TensorSpec, preprocess: ImagePreprocess) -> NDArray[np.generic]:
    """One image, stretched (bilinear) to the height and width of an input [N, C, H, W], or else [N, H, W, C].

    Args:
        tensor: the input; C is 1 (grey) or 3 (RGB). Floats are normalised, uint8 takes pixels as they are, and other
            integers, which must be quantized, what stands for the normalised pixels.
        preprocess: the normalisation.
    Returns: the input's dtype and layout, a batch of 1.
    Raises: DataError: not an image, or the input takes no images.
    """
    channels_first = tensor.shape[1:2] in _CHANNELS
    if len(tensor.shape) != 4 or not (channels_first or tensor.shape[3:] in _CHANNELS):
        raise _takes_none(path, tensor, "neither its second nor its last dimension are the 1 or 3 channels of an image")
    height, width, channels = (tensor.shape[axis] for axis in ((2, 3, 1) if channels_first else (1, 2, 3)))
    pixels = _decode(path, _PILLOW_MODES[channels], (width, height)).reshape(height, width, channels)
    values = _values(path, pixels, tensor, preprocess)
    return np.ascontiguousarray((values.transpose(2, 0, 1) if channels_first else values)[np.newaxis])


def _values(
    path: Path, pixels: NDArray[np.uint8], tensor: TensorSpec, preprocess: ImagePreprocess
) -> NDArray[np.generic]:
    """What an input takes for pixels [H, W, C]."""
    dtype = np.dtype(tensor.dtype)
    if dtype == np.uint8:
        return pixels
    mean, scale = (_per_channel(values, pixels.shape[2]) for values in (preprocess.mean, preprocess.scale))
    real = (pixels.astype(np.float32) - mean) / scale
    if dtype.kind == "f":
        return real.astype(dtype)
    if tensor.quantization is None:
        raise _takes_none(path, tensor, "the model does not say which integers stand for pixels")
    limits = np.iinfo(dtype)
    integers = np.rint(real / np.float32(tensor.quantization.scale)) + tensor.quantization.zero_point
    return np.clip(integers, limits.min, limits.max).astype(dtype)


def _takes_none(path: Path, tensor: TensorSpec, reason: str) -> DataError:
    return DataError(f"{path}: input {tensor} takes no image, for {reason}; give .npy files instead")


def _decode(path: Path, mode: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    try:
        check_regular(path)
        with Image.open(path) as image:
            if image.mode not in _EIGHT_BIT_MODES:
                raise DataError(f"{path}: pixels are not of 8 bits (mode {image.mode}); save it as 8-bit PNG")
            resized = image.convert(mode).resize(size, Image.Resampling.BILINEAR)
            return np.asarray(resized, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else "decoding failed"
        raise DataError(f"{path}: cannot be read as an image ({reason}); replace or remove it") from error


def _per_channel(values: tuple[float, ...], channels: int) -> NDArray[np.float32]:
    if len(values) not in (1, channels):
        raise DataError(f"image mean or scale {values}: for {channels} channels; give 1 or {channels} values")
    return np.asarray(values, dtype=np.float32)
