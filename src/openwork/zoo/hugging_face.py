"""Networks that Hugging Face's transformers defines, with random weights: nothing is ever downloaded.

transformers takes seconds to import, so each function imports what it needs. Each network here takes and gives
plain tensors.
"""

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

Config = TypeVar("Config", bound="PreTrainedConfig")

CLASSES = 1000
CLASSES_OF_ADE20K = 150
# Added to the scores of padding, as the first BERT does it: exp(-10000) is 0.
HIDDEN = -10_000.0


class Logits(nn.Module):
    """A model whose result has `logits`: images to logits."""

    def __init__(self, model: "PreTrainedModel"):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).logits


class Encoder(nn.Module):
    """A model of text: the hidden state at each token [N, L, width], and one for the whole text [N, width]."""

    def __init__(self, model: "PreTrainedModel"):
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        # Given one mask for each query, the model adds it as it is, and needs no comparisons to make one.
        mask = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * HIDDEN
        result = self.model(input_ids, mask, token_type_ids)
        return result.last_hidden_state, result.pooler_output


def regnet() -> Logits:
    """RegNetY-400MF, [N, 3, 224, 224] to logits [N, 1000].

    Source: Radosavovic et al. 2020, arXiv:2003.13678.
    """
    from transformers import RegNetConfig, RegNetForImageClassification

    config = RegNetConfig(
        embedding_size=32,
        hidden_sizes=[48, 104, 208, 440],
        depths=[1, 3, 6, 6],
        groups_width=8,
        layer_type="y",
    )
    return Logits(RegNetForImageClassification(_plain(config)))


def efficientnet_b0() -> Logits:
    """EfficientNet-B0, [N, 3, 224, 224] to logits [N, 1000].

    Source: Tan & Le 2019, arXiv:1905.11946, table 1.
    """
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    config = EfficientNetConfig(width_coefficient=1.0, depth_coefficient=1.0, image_size=224, hidden_dim=1280)
    model = EfficientNetForImageClassification(_plain(config))
    # It averages over a window of 1280x1280, which is the whole image and more.
    model.efficientnet.add_module("pooler", nn.AdaptiveAvgPool2d(1))
    return Logits(model)


def convnext_tiny() -> Logits:
    """ConvNeXt-T, [N, 3, 224, 224] to logits [N, 1000].

    Source: Liu et al. 2022, arXiv:2201.03545, table 9.
    """
    from transformers import ConvNextConfig, ConvNextForImageClassification

    return Logits(ConvNextForImageClassification(_plain(ConvNextConfig())))


def segformer_b0() -> Logits:
    """Segformer-B0, [N, 3, 512, 512] to logits [N, 150, 128, 128].

    Source: Xie et al. 2021, arXiv:2105.15203.
    """
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    return Logits(SegformerForSemanticSegmentation(_plain(SegformerConfig(), classes=CLASSES_OF_ADE20K)))


def vit_tiny(*, size: int = 224) -> Logits:
    """ViT-Ti/16, [N, 3, size, size] to logits [N, 1000]; it learns a position for each patch of 16x16 pixels.

    Source: Dosovitskiy et al. 2020, arXiv:2010.11929; Touvron et al. 2020, arXiv:2012.12877, table 1.
    """
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(image_size=size, hidden_size=192, num_attention_heads=3, intermediate_size=768)
    return Logits(ViTForImageClassification(_plain(config)))


def swin_tiny(*, size: int = 224) -> Logits:
    """Swin-T, [N, 3, size, size] to logits [N, 1000]; a window is as wide as the last stage's image (7 of 224).

    Source: Liu et al. 2021, arXiv:2103.14030, section 3.3.
    """
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(image_size=size, window_size=size // 32)
    return Logits(SwinForImageClassification(_plain(config)))


def bert_mini() -> Encoder:
    """BERT-mini, three int64[N, L] with L up to 512 to hidden states [N, L, 256] and pooled ones [N, 256].

    Source: Turc et al. 2019, arXiv:1908.08962, table 1 (4 layers, width 256).
    """
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024)
    return Encoder(BertModel(_plain(config)))


def _plain(config: Config, *, classes: int = CLASSES) -> Config:
    """With attention as matrix products and a softmax, and so many classes where there are any."""
    config._attn_implementation = "eager"
    config.num_labels = classes
    return config
