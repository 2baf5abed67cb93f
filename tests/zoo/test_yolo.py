import torch
from torch import nn

from openwork.zoo.yolo import C2f, SpatialPyramid, yolov5s, yolov8n


def shapes(model: nn.Module) -> list[tuple[int, ...]]:
    with torch.no_grad():
        return [tuple(output.shape) for output in model.eval()(torch.zeros(2, 3, 64, 96))]


def test_heads_of_version_5_at_three_strides() -> None:
    assert shapes(yolov5s()) == [(2, 255, 8, 12), (2, 255, 4, 6), (2, 255, 2, 3)]
    assert shapes(yolov5s(classes=1))[0] == (2, 18, 8, 12)


def test_heads_of_version_8_at_three_strides() -> None:
    boxes, scores = shapes(yolov8n())[:3], shapes(yolov8n())[3:]
    assert boxes == [(2, 64, 8, 12), (2, 64, 4, 6), (2, 64, 2, 3)]
    assert scores == [(2, 80, 8, 12), (2, 80, 4, 6), (2, 80, 2, 3)]


def test_the_pyramid_takes_maxima_over_5_9_and_13_pixels() -> None:
    pyramid = SpatialPyramid(4).eval()
    pyramid.conv1, pyramid.conv2 = nn.Identity(), nn.Identity()
    x = torch.zeros(1, 1, 15, 15)
    x[0, 0, 7, 7] = 1
    assert pyramid(x)[0].sum((1, 2)).tolist() == [1, 25, 81, 169]


def test_every_residual_reads_the_one_before() -> None:
    block = C2f(8, 8, repeats=2).eval()
    block.conv1, block.conv2 = nn.Identity(), nn.Identity()
    for residual in block.residuals:
        residual.forward = lambda x: 10 * x
    x = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert block(x).flatten().tolist() == [*range(8), 40, 50, 60, 70, 400, 500, 600, 700]
