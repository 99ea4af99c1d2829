"""One pair, or a few, of which only the summed log-probs and the lengths matter."""

import pytest
import torch

from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context


@pytest.fixture(scope="session")
def evaluate():
    """(loss, lc, lr, Rc, Rr, Nc, Nr) -> (output, d losses / d lc, d losses / d lr); one number or a list of rows each.

    The gradient is that of the sum over rows. In float64 unless said otherwise.
    """

    def run(loss, lc, lr, Rc, Rr, Nc, Nr, context=None, dtype=torch.float64):
        lc, lr, Rc, Rr = (torch.tensor(v, dtype=dtype).reshape(-1) for v in (lc, lr, Rc, Rr))
        Nc, Nr = (torch.tensor(v).reshape(-1) for v in (Nc, Nr))
        lc.requires_grad_()
        lr.requires_grad_()
        reference = PairLogps(Logps(Rc, Nc), Logps(Rr, Nr))
        output = loss(PairLogps(Logps(lc, Nc), Logps(lr, Nr)), reference, context or Context())
        gradients = torch.autograd.grad(output.losses.sum(), (lc, lr), allow_unused=True)
        chosen, rejected = (torch.zeros_like(lc) if one is None else one for one in gradients)
        return output, chosen, rejected

    return run
