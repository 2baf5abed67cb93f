import socket

import pytest
import torch

from openwork.errors import ModelError
from openwork.zoo import cost, example_inputs, output_names, zoo_names
from openwork.zoo.networks import NETWORKS

# Parameters, and millions of multiply-accumulates, from torchvision's table of models; MobileNetV1, Segformer and ViT
# (DeiT) from their papers and timm, detectors from Ultralytics (it tells twice the figure), the tiny ones from MLPerf
# Tiny's networks, U-Net and BERT by hand from their layers.
PUBLISHED = {
    "resnet18": (11_689_512, 1814),
    "resnet50": (25_557_032, 4089),
    "resnext50": (25_028_904, 4230),
    "vgg16": (138_357_544, 15_470),
    "mobilenet_v1": (4_231_976, 569),
    "mobilenet_v2": (3_504_872, 301),
    "mobilenet_v3": (5_483_032, 217),
    "efficientnet_b0": (5_288_548, 386),
    "regnet": (4_344_144, 402),
    "shufflenet_v2": (2_278_604, 145),
    "squeezenet": (1_235_496, 349),
    "densenet121": (7_978_856, 2834),
    "convnext_tiny": (28_589_128, 4456),
    "vit_tiny": (5_717_416, 1254),
    "swin_tiny": (28_288_354, 4491),
    "segformer_b0": (3_752_694, 8400),
    "yolov5s": (7_235_389, 8220),
    "yolov8n": (3_157_184, 4370),
    "unet": (31_037_698, 48_170),
    "bert_mini": (11_170_560, 4 * (12 * 256**2 * 128 + 2 * 128**2 * 256) / 1e6),
    "ds_cnn": (23_756, 2.66),
    "autoencoder": (267_928, 0.264),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_macs_are_the_published_ones(name: str) -> None:
    parameters, macs = PUBLISHED[name]
    found = cost(name)
    assert found.parameters == parameters
    assert found.macs / 1e6 == pytest.approx(macs, rel=0.005)


def test_all_but_the_one_of_our_own_are_published() -> None:
    assert set(zoo_names()) - set(PUBLISHED) == {"resnet20"}


@pytest.mark.parametrize("name", zoo_names())
def test_outputs_are_as_many_as_their_names(name: str) -> None:
    with torch.device("meta"):
        model = NETWORKS[name].build(NETWORKS[name].inputs.size).eval()
    inputs = {key: tensor.to("meta") for key, tensor in example_inputs(name, batch=2).items()}
    with torch.no_grad():
        result = model(**inputs) if len(inputs) > 1 else model(*inputs.values())
    outputs = result if isinstance(result, tuple) else (result,)
    assert len(outputs) == len(output_names(name)) == len(set(output_names(name)))
    assert all(output.shape[0] == 2 for output in outputs)


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a network connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for network in NETWORKS.values():
        with torch.device("meta"):
            network.build(network.inputs.size)


def test_inputs_of_images() -> None:
    assert example_inputs("resnet20")["x"].shape == (1, 1, 16, 16)
    assert example_inputs("resnet50")["x"].shape == (1, 3, 224, 224)
    inputs = example_inputs("yolov5s", batch=3, size=64)
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in inputs.items()} == {
        "x": (torch.float32, (3, 3, 64, 64))
    }
    assert inputs["x"].std() == pytest.approx(1, abs=0.05)


def test_inputs_of_text() -> None:
    inputs = example_inputs("bert_mini", batch=50, size=33, seed=1)
    assert list(inputs) == ["input_ids", "attention_mask", "token_type_ids"]
    assert {(tensor.dtype, tuple(tensor.shape)) for tensor in inputs.values()} == {(torch.int64, (50, 33))}
    assert 0 <= inputs["input_ids"].min() <= inputs["input_ids"].max() < 30522
    mask = inputs["attention_mask"]
    assert set(mask.unique().tolist()) == {0, 1}
    assert mask.diff().max() == 0, "padding lies at the end"
    assert 17 <= mask.sum(1).min() < mask.sum(1).max() == 33
    assert set(inputs["token_type_ids"].unique().tolist()) == {0, 1}
    assert inputs["token_type_ids"].diff().min() == 0, "the second sentence follows the first"


def test_the_seed_decides_the_inputs() -> None:
    one, same, other = (example_inputs("ds_cnn", seed=seed)["x"] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("lenet", None, "lenet: no such network in the zoo; choose from resnet18, "),
        ("swin_tiny", 100, "swin_tiny: no network for inputs of size 100; choose from 32 to 4096 in steps of 32"),
        ("resnet50", -32, "size -32"),
        ("resnet50", 0, "size 0"),
        ("bert_mini", 513, "choose from 1 to 512 in steps of 1"),
        ("ds_cnn", 20, "ds_cnn: no network for inputs of size 20; choose from 10 to 10"),
    ],
)
def test_what_no_network_takes(name: str, size: int | None, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        example_inputs(name, size=size)
