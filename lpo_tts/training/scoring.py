"""From a batch and the model to losses: what each loss needs of policy and reference is gathered here."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lpo_tts.artefacts import read_tensors, write_tensors
from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.lm.base import SpeechLM
from lpo_tts.lm.logps import Head, Rows, Wanted, weighted
from lpo_tts.lm.models import autocast, bare, frozen, has_adapters
from lpo_tts.logprobs import Logps
from lpo_tts.losses.base import Adversary, Context, DataKind, Loss
from lpo_tts.training.arranging import arrange, sides
from lpo_tts.training.meter import row_metrics
from lpo_tts.training.processes import gathered, world_size

ADVERSARY_FILE = "adversary.safetensors"
REFERENCE_FILE = "reference_model.safetensors"


@dataclass(frozen=True)
class Scored:
    """Of one batch: losses (rows,) with gradient, metrics per row, and what a loss observed for its next state.

    `log_ratios` is (answers,) nats per token in the order of the examples' answers, or None without a reference.
    """

    losses: Tensor
    metrics: dict[str, Tensor]
    observed: dict[str, Tensor]
    log_ratios: Tensor | None


class Scorer:
    """Calls a loss on what it needs, and keeps what lives from step to step: its state, a live reference, an adversary.

    Args:
        loss: a loss.
        head: see `Wanted`.
        precision: "bf16" or "fp32".
        ref_model: the frozen model, where it is another than the model as it is now.
        seed: of the adversary's weights.
    """

    def __init__(self, loss: Loss, head: Head, precision: str, ref_model: nn.Module | None = None, seed: int = 0) -> None:
        self.loss = loss
        self.head: Head = head
        self.precision = precision
        self.ref_model = ref_model
        self.seed = seed
        self.state = loss.initial_state()
        self.adversary: Adversary | None = None

    @property
    def kind(self) -> DataKind:
        """What the loss learns from."""
        return self.loss.data

    @property
    def over_batch(self) -> bool:
        """Whether rows depend on each other."""
        return self.loss.over_batch

    @property
    def needs_live_reference(self) -> bool:
        """Whether kept log-probs are not enough."""
        return self.loss.needs_reference in ("logits", "hidden")

    def needs_tokens(self) -> bool:
        """Whether log-probs are needed token by token, of the reference."""
        return self.loss.needs_reference == "tokens"

    def make_live(self, model: nn.Module, *, sharded: bool = False) -> None:
        """Makes the reference that is run beside the policy; under peft it is the model with its adapters off.

        Raises:
            ConfigError: the weights are divided among processes, where the frozen model cannot be copied.
        """
        if self.ref_model is not None or has_adapters(model):
            return
        if sharded:
            raise ConfigError(
                f"{type(self.loss).__name__} runs the reference beside the policy, which is not offered with FSDP or DeepSpeed; "
                "use DDP, LoRA, or a loss on kept log-probs"
            )
        self.ref_model = copy.deepcopy(model).requires_grad_(False)

    def score(self, policy: SpeechLM, inputs: Mapping[str, Any], learning_rate: float | None = None) -> Scored:
        """Scores a batch of `training.batch.collate`.

        Args:
            policy: its module may be wrapped.
            inputs: the batch, with "reference" (total, num_tokens, tokens) where log-probs were kept.
            learning_rate: the policy's, while training; None: nothing learns, an adversary neither.

        Raises:
            ContractError: the batch has token weights, and the loss cannot take them.
        """
        if "weights" in inputs and not self.loss.takes_weights:
            raise ContractError(
                f"{type(self.loss).__name__} goes by the places of an answer's tokens, so token weights do not go with it; leave "
                "out chosen_weights, rejected_weights and answer_weights (in a recipe, train.segments and pair.weights), or use "
                "another loss"
            )
        needs_logits = self.loss.needs_logits
        needs_hidden = self.loss.needs_reference == "hidden"
        live = self.needs_live_reference or "reference" not in inputs
        reference: Logps | None = None
        rows: Rows | None = None
        if live and self.loss.needs_reference != "none":
            reference, rows = self._live(policy, inputs)
        elif not live:
            kept = inputs["reference"]
            reference = weighted(Logps(kept["total"], kept["num_tokens"], kept.get("tokens")), inputs.get("weights"))
        wanted = Wanted(
            tokens=self.needs_tokens() or self.loss.needs_tokens,
            hidden=needs_hidden,
            statistics=self.loss.over_vocabulary if needs_logits != "none" else None,
            reference=rows if needs_logits == "both" else None,
            accumulate=learning_rate is not None and world_size() == 1,
            head=self.head,
        )
        with autocast(policy.module, self.precision):
            logps = policy.logps(inputs, wanted)
        one = arrange(logps, inputs, self.kind)
        other = None if reference is None else arrange(reference, inputs, self.kind)
        if needs_hidden:
            self._meet_adversary(one, other, learning_rate)
        context = Context(
            margins=inputs.get("margins", {}),
            aspects=inputs.get("aspects", ()),
            scores=inputs.get("scores"),
            mismatched=self._mismatched(policy, inputs) if self.kind == "unpaired" else None,
            importance=sides(inputs["importance"], inputs) if "importance" in inputs else None,
            state=self.state,
            adversary=self.adversary,
            # held-out rows are scored batch by batch, the same whatever the number of processes
            gather=gathered if learning_rate is not None else (lambda rows: rows),
        )
        output = self.loss(one, other, context)
        ratios = None if reference is None else (logps.mean - reference.mean).detach()
        return Scored(output.losses, row_metrics(one, other, output, self.loss), output.observed, ratios)

    def _live(self, policy: SpeechLM, inputs: Mapping[str, Any]) -> tuple[Logps, Rows | None]:
        """The reference, run on this batch."""
        other = policy.around(self.ref_model if self.ref_model is not None else bare(policy.module))
        if self.ref_model is None and not has_adapters(other.module):
            raise ContractError("the reference was neither computed before nor kept as a model; call ensure_reference first")
        if policy.takes_packs and not other.takes_packs:
            other.take_packs()
        with frozen(other.module), autocast(other.module, self.precision):
            if self.loss.needs_reference == "logits":
                return other.frozen_rows(inputs, self.head)
            hidden = self.loss.needs_reference == "hidden"
            wanted = Wanted(tokens=hidden or self.needs_tokens(), hidden=hidden, head=self.head)
            return other.logps(inputs, wanted), None

    def _mismatched(self, policy: SpeechLM, inputs: Mapping[str, Any]) -> tuple[Logps, Logps]:
        """KTO's answers under other prompts, scored by policy and reference without gradient, token weights alike."""
        batch = inputs["mismatched"]
        with torch.no_grad(), autocast(policy.module, self.precision):
            logps = policy.logps(batch, Wanted(head=self.head))
        if "reference" in batch:
            kept = batch["reference"]
            return logps, weighted(Logps(kept["total"], kept["num_tokens"], kept.get("tokens")), batch.get("weights"))
        return logps, self._live(policy, batch)[0]

    def _meet_adversary(self, policy: Any, reference: Any, learning_rate: float | None) -> None:
        if self.adversary is None:
            hidden = policy.chosen.hidden
            self.adversary = self.loss.make_adversary(hidden.shape[-1], self.seed, hidden.device)
        if learning_rate is not None:
            self.adversary.update(policy, reference, learning_rate, gathered)

    def follow(self, model: nn.Module, share: float) -> None:
        """TR-DPO: reference <- share * policy + (1 - share) * reference."""
        assert self.ref_model is not None
        with torch.no_grad():
            for mine, theirs in zip(self.ref_model.parameters(), bare(model).parameters(), strict=True):
                mine.lerp_(theirs.to(mine), share)

    def save(self, folder: Path, *, with_reference: bool) -> None:
        """Writes what lives from step to step into a checkpoint (the state's numbers apart)."""
        if self.adversary is not None:
            write_tensors(folder / ADVERSARY_FILE, self.adversary.state_tensors())
        if with_reference and self.ref_model is not None:
            weights = {name: weight.detach().clone() for name, weight in self.ref_model.named_parameters()}
            write_tensors(folder / REFERENCE_FILE, weights)

    def load(self, folder: Path, policy: SpeechLM, *, with_reference: bool) -> None:
        """Takes up what `save` wrote; raises ArtefactError when a file is missing."""
        if self.loss.needs_reference == "hidden":
            device = next(policy.module.parameters()).device
            self.adversary = self.loss.make_adversary(policy.hidden_size, self.seed, device)
            self.adversary.load_state_tensors(read_tensors(folder / ADVERSARY_FILE))
        if with_reference and self.ref_model is not None:
            weights = read_tensors(folder / REFERENCE_FILE)
            with torch.no_grad():
                for name, weight in self.ref_model.named_parameters():
                    weight.copy_(weights[name])


def check_distributions(lm: SpeechLM, loss: Loss) -> None:
    """Raises ConfigError where the loss asks for whole distributions that cannot be had of this model."""
    reason = None if loss.needs_logits == "none" else lm.why_not_whole()
    if reason is not None:
        raise ConfigError(
            f"{type(loss).__name__} takes distributions from the LM head's inputs, but of {type(lm.module).__name__}, {reason}"
        )
