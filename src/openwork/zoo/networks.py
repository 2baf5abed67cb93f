"""Which networks there are, what they take and what they give."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from openwork.errors import ModelError
from openwork.zoo import hugging_face
from openwork.zoo.classifiers import densenet121, shufflenet_v2, squeezenet, vgg16
from openwork.zoo.mobilenet import mobilenet_v1, mobilenet_v2, mobilenet_v3
from openwork.zoo.resnet import resnet18, resnet20, resnet50, resnext50
from openwork.zoo.tiny import autoencoder, ds_cnn
from openwork.zoo.unet import unet
from openwork.zoo.yolo import yolov5s, yolov8n

VOCABULARY = 30522
# Values of each channel from which BatchNorm's mean and variance are measured.
SAMPLES = 256


@dataclass(frozen=True)
class Images:
    """Normalized images float32[N, channels, size, size], called x.

    step: how many times smaller the network makes an image.
    """

    size: int
    step: int = 32
    channels: int = 3

    @property
    def sizes(self) -> range:
        return range(self.step, 4096 + 1, self.step)

    def calibration_batch(self, size: int) -> int:
        """Enough for SAMPLES where images are smallest."""
        return max(2, SAMPLES * self.step**2 // size**2)

    def draw(self, batch: int, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Areas of colour, as in photographs, and noise."""
        areas = torch.randn(batch, self.channels, 4, 4, generator=generator)
        images = F.interpolate(areas, (size, size), mode="bilinear")
        images += 0.5 * torch.randn(images.shape, generator=generator)
        return {"x": images / images.std()}


@dataclass(frozen=True)
class Features:
    """Normalized float32[N, *shape], called x. The shape is fixed; its last length counts as the size."""

    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return self.shape[-1]

    @property
    def sizes(self) -> range:
        return range(self.size, self.size + 1)

    def calibration_batch(self, size: int) -> int:
        return SAMPLES

    def draw(self, batch: int, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """A spectrum that stays the same over time, and noise."""
        spectrum = torch.randn(batch, *[1] * (len(self.shape) - 1), self.shape[-1], generator=generator)
        features = spectrum + 0.5 * torch.randn(batch, *self.shape, generator=generator)
        return {"x": features / features.std()}


@dataclass(frozen=True)
class Tokens:
    """Two sentences of `size` tokens together, int64[N, size]: identities, which are text, and whose they are."""

    size: int
    longest: int = 512

    @property
    def sizes(self) -> range:
        return range(1, self.longest + 1)

    def calibration_batch(self, size: int) -> int:
        return max(2, SAMPLES // size)

    def draw(self, batch: int, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        places = torch.arange(size)
        lengths = torch.randint((size + 1) // 2, size + 1, (batch, 1), generator=generator)
        return {
            "input_ids": torch.randint(VOCABULARY, (batch, size), generator=generator),
            "attention_mask": (places < lengths).to(torch.int64),
            "token_type_ids": (places >= lengths // 2).to(torch.int64),
        }


@dataclass(frozen=True)
class Network:
    """build: for inputs of a given size. outputs: a name for each result, in order."""

    build: Callable[[int], nn.Module]
    inputs: Images | Features | Tokens
    outputs: tuple[str, ...] = ("logits",)


@dataclass(frozen=True)
class Cost:
    """Parameters of a dense network, and multiply-accumulates of one inference with batch 1."""

    parameters: int
    macs: int


_PHOTO = Images(224)
_STRIDES = (8, 16, 32)

NETWORKS = {
    "resnet18": Network(lambda size: resnet18(), _PHOTO),
    "resnet20": Network(lambda size: resnet20(), Images(16, step=4, channels=1)),
    "resnet50": Network(lambda size: resnet50(), _PHOTO),
    "resnext50": Network(lambda size: resnext50(), _PHOTO),
    "vgg16": Network(lambda size: vgg16(size=size), _PHOTO),
    "mobilenet_v1": Network(lambda size: mobilenet_v1(), _PHOTO),
    "mobilenet_v2": Network(lambda size: mobilenet_v2(), _PHOTO),
    "mobilenet_v3": Network(lambda size: mobilenet_v3(), _PHOTO),
    "efficientnet_b0": Network(lambda size: hugging_face.efficientnet_b0(), _PHOTO),
    "regnet": Network(lambda size: hugging_face.regnet(), _PHOTO),
    "shufflenet_v2": Network(lambda size: shufflenet_v2(), _PHOTO),
    "squeezenet": Network(lambda size: squeezenet(), _PHOTO),
    "densenet121": Network(lambda size: densenet121(), _PHOTO),
    "convnext_tiny": Network(lambda size: hugging_face.convnext_tiny(), _PHOTO),
    "vit_tiny": Network(lambda size: hugging_face.vit_tiny(size=size), _PHOTO),
    "swin_tiny": Network(lambda size: hugging_face.swin_tiny(size=size), _PHOTO),
    "unet": Network(lambda size: unet(), Images(256, step=16)),
    "segformer_b0": Network(lambda size: hugging_face.segformer_b0(), Images(512)),
    "yolov5s": Network(lambda size: yolov5s(), Images(640), tuple(f"anchors_{stride}" for stride in _STRIDES)),
    "yolov8n": Network(
        lambda size: yolov8n(),
        Images(640),
        tuple(f"{kind}_{stride}" for kind in ("boxes", "scores") for stride in _STRIDES),
    ),
    "bert_mini": Network(lambda size: hugging_face.bert_mini(), Tokens(128), ("hidden", "pooled")),
    "ds_cnn": Network(lambda size: ds_cnn(), Features((1, 49, 10))),
    "autoencoder": Network(lambda size: autoencoder(), Features((640,)), ("reconstruction",)),
}


def zoo_names() -> tuple[str, ...]:
    """The names of all networks."""
    return tuple(NETWORKS)


def example_inputs(name: str, *, batch: int = 1, size: int | None = None, seed: int = 0) -> dict[str, Tensor]:
    """Random inputs of a network, by name, in the order in which `forward` takes them.

    Args:
        size: side of the square image in pixels, or tokens of the text; as published if None.
        seed: the same seed gives the same inputs.
    Returns: float32 of mean 0 and standard deviation 1; int64 for text, of which the second half may be padding.
    Raises: ModelError: no such network, or it takes no such size.
    """
    network = find_network(name)
    generator = torch.Generator().manual_seed(seed)
    return network.inputs.draw(batch, checked_size(name, size), generator)


def output_names(name: str) -> tuple[str, ...]:
    """A name for each tensor that a network returns. Raises: ModelError: no such network."""
    return find_network(name).outputs


@torch.no_grad()
def cost(name: str, *, size: int | None = None) -> Cost:
    """What a network costs; no weight is drawn for it. Raises: ModelError: no such network or size."""
    network, size = find_network(name), checked_size(name, size)
    inputs = [tensor.to("meta") for tensor in example_inputs(name, size=size).values()]
    with torch.device("meta"):
        model = network.build(size).eval()
    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    return Cost(sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() // 2)


def find_network(name: str) -> Network:
    """The network of that name. Raises: ModelError: there is none."""
    if name not in NETWORKS:
        raise ModelError(f"{name}: no such network in the zoo; choose from {', '.join(NETWORKS)}")
    return NETWORKS[name]


def checked_size(name: str, size: int | None) -> int:
    """The size of a network's input, the published one if None. Raises: ModelError: it takes no such size."""
    inputs = find_network(name).inputs
    if size is None:
        return inputs.size
    if size not in inputs.sizes:
        choices = f"{inputs.sizes[0]} to {inputs.sizes[-1]} in steps of {inputs.sizes.step}"
        raise ModelError(f"{name}: no network for inputs of size {size}; choose from {choices}, or leave it out")
    return size
