"""AOT: sorted values, over one process and over several."""

import pytest
import torch

from lpo_tts.losses.aot import AOT, AOTUnpaired
from lpo_tts.losses.base import Context

# lc, lr, Rc, Rr, Nc, Nr of the cases A, B and C of test_losses
BATCH = ([-40, -300.5, -80], [-45, -310, -130], [-41, -298, -90], [-43, -305, -100], [10, 100, 20], [12, 110, 25])
BATCH = tuple([float(v) for v in column] for column in BATCH[:4]) + BATCH[4:]
BOTH = pytest.mark.parametrize("loss", [AOT(), AOTUnpaired(), AOT(label_smoothing=0.1)], ids=repr)


@pytest.mark.parametrize(
    ("loss", "value", "chosen", "rejected"),
    [
        (AOT(), 0.38281486, [-0.01418525, -0.01459412, -0.00059954], [0.01418525, 0.01459412, 0.00059954]),
        (AOTUnpaired(), 0.25424600, [-0.01181146, -0.00200289, -0.00771584], [0.00771584, 0.01181146, 0.00200289]),
    ],
    ids=repr,
)
def test_value_and_gradients_of_a_batch(loss, value, chosen, rejected, evaluate):
    output, d_chosen, d_rejected = evaluate(loss, *BATCH)
    assert output.losses.mean().item() == pytest.approx(value, abs=1e-8)
    assert (d_chosen / 3).tolist() == pytest.approx(chosen, rel=2e-6, abs=1e-8)
    assert (d_rejected / 3).tolist() == pytest.approx(rejected, rel=2e-6, abs=1e-8)


def sorted_loss(loss, lc, lr, Rc, Rr):
    """The definition, literally: sort, subtract, and take the mean."""
    lc, lr, Rc, Rr = (torch.tensor(v, dtype=torch.float64) for v in (lc, lr, Rc, Rr))
    lc.requires_grad_()
    lr.requires_grad_()
    one, other = (lc - Rc, lr - Rr) if isinstance(loss, AOTUnpaired) else (lc - lr, Rc - Rr)
    mean = loss.cost(one.sort().values - other.sort().values).mean()
    return mean.item(), *torch.autograd.grad(mean, (lc, lr))


@BOTH
def test_values_and_gradients_are_those_of_the_sorted_lists(loss, evaluate):
    torch.manual_seed(0)
    columns = [(-50 + 5 * torch.randn(17, dtype=torch.float64)).tolist() for _ in range(4)]
    output, chosen, rejected = evaluate(loss, *columns, [10] * 17, [10] * 17)
    value, d_chosen, d_rejected = sorted_loss(loss, *columns)
    assert output.losses.mean().item() == pytest.approx(value)
    torch.testing.assert_close(chosen / 17, d_chosen)
    torch.testing.assert_close(rejected / 17, d_rejected)


@BOTH
def test_rows_of_equal_value_share_their_places(loss, evaluate):
    columns = (
        [-40.0, -40.0, -41.0, -40.0],
        [-45.0, -45.0, -45.0, -45.0],
        [-41.0, -42.0, -40.0, -43.0],
        [-45.0, -44.0, -43.0, -42.0],
    )
    if isinstance(loss, AOTUnpaired):  # its ties are of log-ratios
        columns = (columns[0], columns[1], [-42.0] * 4, [-44.0, -44.0, -43.0, -42.0])
    output, chosen, _ = evaluate(loss, *columns, [10] * 4, [10] * 4)
    value, d_chosen, _ = sorted_loss(loss, *columns)
    assert output.losses.mean().item() == pytest.approx(value)
    assert (chosen / 4).sum().item() == pytest.approx(d_chosen.sum().item())
    assert chosen[0] == chosen[1]  # equal rows are treated alike, whatever order a sort would give them


@BOTH
def test_two_processes_find_what_one_would(loss, evaluate):
    """Each process has its own rows and the others' values; the mean of the two means is the whole batch's."""
    torch.manual_seed(1)
    columns = [(-50 + 5 * torch.randn(6, dtype=torch.float64)).tolist() for _ in range(4)]
    whole, chosen, rejected = evaluate(loss, *columns, [10] * 6, [10] * 6)
    halves = [[column[part] for column in columns] for part in (slice(3), slice(3, None))]
    seen = []
    for half in halves:  # what each process hands to gather, call by call
        seen.append([])
        evaluate(loss, *half, [10] * 3, [10] * 3, Context(gather=lambda rows: seen[-1].append(rows.detach()) or rows))
    for index, half in enumerate(halves):
        calls = iter(zip(*seen, strict=True))
        context = Context(gather=lambda rows, calls=calls: torch.cat(next(calls)))
        output, d_chosen, d_rejected = evaluate(loss, *half, [10] * 3, [10] * 3, context)
        own = slice(3 * index, 3 * index + 3)
        torch.testing.assert_close(output.losses, whole.losses[own])
        torch.testing.assert_close(d_chosen, chosen[own])
        torch.testing.assert_close(d_rejected, rejected[own])
