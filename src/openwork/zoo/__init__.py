"""Network definitions, the digits, and the training that the demo shows."""

from openwork.zoo.digits import Digits, load_digits_split
from openwork.zoo.make import input_shape, make_model, zoo_names
from openwork.zoo.mobilenet import MobileNetV2, mobilenet_v2
from openwork.zoo.resnet import ResNet, resnet20, resnet50
from openwork.zoo.train import Milestone, accuracy, train_dense, train_sparse

__all__ = [
    "Digits",
    "Milestone",
    "MobileNetV2",
    "ResNet",
    "accuracy",
    "input_shape",
    "load_digits_split",
    "make_model",
    "mobilenet_v2",
    "resnet20",
    "resnet50",
    "train_dense",
    "train_sparse",
    "zoo_names",
]
