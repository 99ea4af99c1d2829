"""ECAPA-TDNN (arXiv 2005.07143) over the layers of a speech model, as the WavLM paper uses it (arXiv 2110.13900, 4.2.1)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

SCALES = 8  # groups of channels that a block hears one after the other (Res2Net)
LEAST_VARIANCE = 1e-9  # of attentive statistics, before the square root
NUDGE = 1e-6  # added to the features before they are normalised, as the checkpoint was trained


class EcapaSmall(nn.Module):
    """From the layers of a speech model to a speaker vector; frames outside of an utterance have no say.

    Args:
        num_layers: layers of which the features are a mean with learnt weights.
        features: size of a frame.
        channels: of the blocks.
        squeezed: of the squeeze-excitation gate.
        joint: channels in which the three blocks are joined.
        attention: of the pooling.
        dim: size of a speaker vector.
    """

    def __init__(
        self, *, num_layers: int, features: int, channels: int, squeezed: int, joint: int, attention: int, dim: int
    ) -> None:
        super().__init__()
        self.layer_weights = nn.Parameter(torch.zeros(num_layers))
        self.first = Unit(features, channels, kernel=5)
        self.blocks = nn.ModuleDict({str(dilation): Block(channels, squeezed, dilation) for dilation in (2, 3, 4)})
        self.joint = nn.Conv1d(3 * channels, joint, 1)
        self.attend_in = nn.Conv1d(joint, attention, 1)
        self.attend_out = nn.Conv1d(attention, joint, 1)
        self.pooled_norm = nn.BatchNorm1d(2 * joint)
        self.last = nn.Linear(2 * joint, dim)

    def forward(self, layers: Sequence[Tensor], inside: Tensor) -> Tensor:
        """Speaker vectors, not of unit length.

        Args:
            layers: (batch, frames, features) of each layer.
            inside: (batch, frames) bool, true for the frames of an utterance.

        Returns:
            (batch, dim).
        """
        weights = self.layer_weights.softmax(0)
        mask = inside[:, None].to(weights.dtype)  # (batch, 1, frames)
        frames = torch.stack([weight * layer for weight, layer in zip(weights, layers, strict=True)]).sum(0)
        x = normalised(frames.transpose(1, 2) + NUDGE, mask)
        x, outputs = self.first(x, mask), []
        for block in self.blocks.values():
            x = block(x, mask)
            outputs.append(x)
        return self.last(self.pooled_norm(self._pooled(relu(self.joint(torch.cat(outputs, 1))), inside)))

    def _pooled(self, x: Tensor, inside: Tensor) -> Tensor:
        """Mean and standard deviation over time, each frame and channel weighed by attention: (batch, 2 joint)."""
        scores = self.attend_out(torch.tanh(self.attend_in(x))).masked_fill(~inside[:, None], -torch.inf)
        weights = scores.softmax(2)
        mean = (weights * x).sum(2)
        variance = (weights * x.square()).sum(2) - mean.square()
        return torch.cat([mean, variance.clamp(min=LEAST_VARIANCE).sqrt()], 1)


class Block(nn.Module):
    """A Res2Net block of dilated convolutions with a squeeze-excitation gate, added to what it was given."""

    def __init__(self, channels: int, squeezed: int, dilation: int) -> None:
        super().__init__()
        self.before = Unit(channels, channels)
        self.scales = nn.ModuleList(
            [Unit(channels // SCALES, channels // SCALES, kernel=3, dilation=dilation) for _ in range(SCALES - 1)]
        )
        self.after = Unit(channels, channels)
        self.squeeze = nn.Linear(channels, squeezed)
        self.excite = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, channels, frames) to the same."""
        *groups, passed = self.before(x, mask).chunk(SCALES, 1)
        heard: list[Tensor] = []
        for scale, group in zip(self.scales, groups, strict=True):
            heard.append(scale(group + heard[-1] if heard else group, mask))
        y = self.after(torch.cat([*heard, passed], 1), mask)
        mean = (y * mask).sum(2) / mask.sum(2)
        gate = torch.sigmoid(self.excite(relu(self.squeeze(mean))))
        return x + y * gate[:, :, None]


class Unit(nn.Module):
    """Convolution over time, ReLU, batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2 * dilation, dilation=dilation)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, inputs, frames) to (batch, outputs, frames); `mask` (batch, 1, frames) is 0 where frames are padding."""
        return self.bn(relu(self.conv(x * mask)))


def normalised(x: Tensor, mask: Tensor) -> Tensor:
    """(batch, channels, frames) with mean 0 and variance 1 over the frames of each utterance."""
    count = mask.sum(2, keepdim=True)
    mean = (x * mask).sum(2, keepdim=True) / count
    variance = ((x - mean).square() * mask).sum(2, keepdim=True) / count
    return (x - mean) / (variance + 1e-5).sqrt()
