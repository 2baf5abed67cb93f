"""Zeros cut into a network while it trains."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from openwork.compression.cuts import Cut, cuttable_layers
from openwork.compression.schedule import Schedule, cubic_sparsity
from openwork.errors import ModelError, PatternError
from openwork.sparsity import Mask, best_mask


class Sparsifier:
    """Gradual magnitude pruning for any training loop:

        sparsifier = Sparsifier(model, choose_cuts(model, Cut(0.9)), Schedule(begin=0, end=1000))
        for batch in batches:
            loss(model, batch).backward()
            sparsifier.prepare()
            optimizer.step()
            sparsifier.step()

    While the schedule runs, each mask drops the weights that are smallest at that moment; what was dropped
    stays zero, since it gets no gradient. Then masks are frozen, and the rest is fine-tuning.

    Args:
        cuts: what to cut, by layer name, as `choose_cuts` returns it.
    Raises: ModelError: the model has no Conv2d or Linear of a given name.
    Source: Zhu & Gupta 2017, arXiv:1710.01878.
    """

    def __init__(self, model: nn.Module, cuts: Mapping[str, Cut], schedule: Schedule):
        layers = cuttable_layers(model)
        missing = [name for name in cuts if name not in layers]
        if missing:
            raise ModelError(f"{', '.join(missing)}: no Conv2d or Linear of the model; use choose_cuts")
        self._layers = {name: layers[name] for name in cuts}
        self._cuts = dict(cuts)
        self._schedule = schedule
        self._step = 0
        # bool, the shape of the weight; empty until the schedule begins.
        self._dropped: dict[str, Tensor] = {}

    @torch.no_grad()
    def prepare(self) -> None:
        """Call after backward: dropped weights get no gradient, so that momentum does not gather it."""
        for name, dropped in self._dropped.items():
            gradient = self._layers[name].weight.grad
            if gradient is not None:
                gradient.masked_fill_(dropped.to(gradient.device), 0.0)

    @torch.no_grad()
    def step(self) -> None:
        """Call after the optimizer's step: choose masks anew when due, and set dropped weights to zero.

        Raises: PatternError: a weight is not finite, or has fewer axes than its pattern.
        """
        self._step += 1
        if self._schedule.updates_at(self._step):
            self._choose_masks()
        for name, dropped in self._dropped.items():
            weight = self._layers[name].weight
            weight.masked_fill_(dropped.to(weight.device), 0.0)

    @property
    def sparsity(self) -> float:
        """The fraction of zeros, now, over all weights that are being cut."""
        dropped = sum(int(mask.sum()) for mask in self._dropped.values())
        return dropped / max(1, sum(layer.weight.numel() for layer in self._layers.values()))

    def masks(self) -> dict[str, Mask]:
        """The masks in force by layer name, each proved against its pattern; none before the first is due."""
        return {name: Mask(~dropped.cpu().numpy(), self._cuts[name].pattern) for name, dropped in self._dropped.items()}

    def state_dict(self) -> dict[str, Any]:
        """What is needed to go on later, bit-identically: plain data, loadable with `weights_only=True`."""
        return {"step": self._step, "dropped": {name: mask.clone() for name, mask in self._dropped.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; model and optimizer are restored by their own.

        Raises: ModelError: the state belongs to other layers or shapes. PatternError: to other patterns.
        """
        dropped: dict[str, Tensor] = state["dropped"]
        if dropped and set(dropped) != set(self._cuts):
            raise ModelError("sparsifier state: was saved for other layers; pass the same cuts as then")
        for name, mask in dropped.items():
            weight = self._layers[name].weight
            if mask.shape != weight.shape:
                shapes = f"{tuple(mask.shape)} instead of {tuple(weight.shape)}"
                raise ModelError(f"sparsifier state: {name} is {shapes}; use the model it was saved with")
            Mask(~mask.cpu().numpy(), self._cuts[name].pattern)
        self._step = int(state["step"])
        self._dropped = {name: mask.to(self._layers[name].weight.device, copy=True) for name, mask in dropped.items()}

    def _choose_masks(self) -> None:
        for name, cut in self._cuts.items():
            weight = self._layers[name].weight
            sparsity = cubic_sparsity(
                self._step, begin=self._schedule.begin, end=self._schedule.end, final=cut.sparsity
            )
            try:
                mask = best_mask(weight.abs().cpu().float().numpy(), cut.pattern, sparsity)
            except PatternError as error:
                raise PatternError(f"{name}: {error}") from error
            self._dropped[name] = torch.from_numpy(~mask.keep).to(weight.device)
