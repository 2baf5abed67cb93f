import pytest
import torch
from torch import nn

from openwork.zoo import example_inputs, make_model
from openwork.zoo.hugging_face import bert_mini, efficientnet_b0, swin_tiny, vit_tiny


def test_padding_does_not_change_what_the_text_means() -> None:
    model = make_model("bert_mini", size=12)
    inputs = example_inputs("bert_mini", size=12)
    inputs["attention_mask"] = (torch.arange(12) < 8).long()[None]
    other = {**inputs, "input_ids": inputs["input_ids"].clone()}
    other["input_ids"][:, 8:] += 1
    short = {name: tensor[:, :8] for name, tensor in inputs.items()}
    with torch.no_grad():
        hidden, pooled = model(**inputs)
        assert torch.equal(model(**other)[1], pooled)
        torch.testing.assert_close(model(**short)[0], hidden[:, :8])


def test_the_mask_is_what_transformers_makes_of_it() -> None:
    model = bert_mini().eval()
    inputs = example_inputs("bert_mini", batch=3, size=16)
    with torch.no_grad():
        expected = model.model(**inputs)
        hidden, pooled = model(**inputs)
    # Hidden states of padding itself mean nothing.
    text = inputs["attention_mask"].bool()
    torch.testing.assert_close(hidden[text], expected.last_hidden_state[text])
    torch.testing.assert_close(pooled, expected.pooler_output)


def test_efficientnet_averages_as_before() -> None:
    model = efficientnet_b0().eval()
    with torch.no_grad():
        x = torch.randn(2, 3, 64, 64)
        logits = model(x)
        model.model.efficientnet.pooler = nn.AvgPool2d(1280, ceil_mode=True)
        torch.testing.assert_close(logits, model(x))


@pytest.mark.parametrize("build", [vit_tiny, swin_tiny])
def test_other_sizes_than_published(build: type[nn.Module]) -> None:
    assert build(size=64).eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 1000)
