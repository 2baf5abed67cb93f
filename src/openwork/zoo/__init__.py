"""Network definitions, the digits, and the training that the demo shows."""

from openwork.zoo.digits import Digits, load_digits_split
from openwork.zoo.make import make_graph, make_model
from openwork.zoo.mobilenet import mobilenet_v2
from openwork.zoo.networks import Cost, cost, example_inputs, output_names, zoo_names
from openwork.zoo.resnet import ResNet, resnet20, resnet50
from openwork.zoo.train import Milestone, accuracy, train_dense, train_sparse

__all__ = [
    "Cost",
    "Digits",
    "Milestone",
    "ResNet",
    "accuracy",
    "cost",
    "example_inputs",
    "load_digits_split",
    "make_graph",
    "make_model",
    "mobilenet_v2",
    "output_names",
    "resnet20",
    "resnet50",
    "train_dense",
    "train_sparse",
    "zoo_names",
]
