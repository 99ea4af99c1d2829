"""GANPO: the adversarial terms at given scores, and the discriminators as modules."""

import subprocess
import sys

import pytest
import torch
from torch.nn.functional import softplus

from lpo_tts.errors import ConfigError, ContractError, TrainingError
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.base import Context, Loss
from lpo_tts.losses.dpo import DPO
from lpo_tts.losses.epsilon_dpo import EpsilonDPO
from lpo_tts.losses.ganpo import GANPO, Discriminators, discriminator_loss, generator_loss, moved_means
from lpo_tts.losses.kto import KTO, KTOPair
from lpo_tts.recipe import STRUCTURER

WIDTH = 6
SMALL = GANPO(model_width=16, layers=2, heads=4, feedforward=32, max_positions=8)
# (own, reference, other) of the chosen and of the rejected discriminator
C, C_MEANS = [0.2, 0.5, -0.3], [0.1, 0.4, -0.2]
Q, Q_MEANS = [-0.1, 0.6, -0.4], [0.0, 0.5, -0.3]


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def answers(hidden, lengths, total=0.0):
    rows = len(lengths)
    return Logps(torch.full((rows,), total), torch.tensor(lengths), hidden=hidden)


def batch(seed, rows=4, longest=6, shift=0.0):
    """Hidden states of chosen and rejected answers of different lengths; junk behind their ends."""
    generator = torch.Generator().manual_seed(seed)
    lengths = [longest - row % 3 for row in range(rows)]
    return PairLogps(*(answers(torch.randn(rows, longest, WIDTH, generator=generator) + shift, lengths) for _ in range(2)))


class Stub(Discriminators):
    """Discriminators that give the scores they are told."""

    def __init__(self, own, means):
        super().__init__(WIDTH, SMALL, 0)
        self.means.copy_(torch.tensor(means))
        self.updates += 1
        self.chosen.forward = lambda answers: own[0].expand(len(answers.total))
        self.rejected.forward = lambda answers: own[1].expand(len(answers.total))


def test_discriminator_losses_at_given_scores():
    chosen, rejected = double(C).unsqueeze(1).requires_grad_(), double(Q).unsqueeze(1)
    loss = discriminator_loss(chosen, double(C_MEANS))
    assert loss.shape == (1,)
    assert loss.item() == pytest.approx(0.53429616, abs=1e-8)
    (gradient,) = torch.autograd.grad(loss.sum(), chosen)
    assert gradient[0].item() == pytest.approx(0.01221342, abs=1e-8)
    assert gradient[1].item() < 0 < gradient[2].item()  # the reference is raised, the other side lowered
    assert discriminator_loss(rejected, double(Q_MEANS)).item() == pytest.approx(0.49653251, abs=1e-8)


def test_generator_loss_and_total_at_given_scores():
    own = [double(0.2).requires_grad_(), double(-0.1).requires_grad_()]
    total = (generator_loss(own[0], double(0.4)) + generator_loss(own[1], double(0.5))) / 2
    assert total.item() == pytest.approx(0.91781341, abs=1e-8)
    gradients = torch.autograd.grad(total, own)
    assert [g.item() for g in gradients] == pytest.approx([-0.27491700, -0.32282815], abs=1e-8)

    counts = torch.tensor([10])
    policy = PairLogps(Logps(double([-40]), counts), Logps(double([-45]), counts))
    reference = PairLogps(Logps(double([-41]), counts), Logps(double([-43]), counts))
    output = GANPO()(policy, reference, Context(adversary=Stub(own, [C_MEANS, Q_MEANS])))
    assert output.losses.item() == pytest.approx(1.47216865, abs=1e-7)
    assert output.terms["preference"].item() == pytest.approx(0.55435524, abs=1e-7)
    assert output.terms["adversarial"].item() == pytest.approx(0.91781341, abs=1e-7)
    assert output.chosen_rewards.item() == pytest.approx(0.1)
    gradients = torch.autograd.grad(output.losses.sum(), own)
    assert [g.item() for g in gradients] == pytest.approx([-0.27491700, -0.32282815], abs=1e-7)
    half = GANPO(weight=0.5)(policy, reference, Context(adversary=Stub(own, [C_MEANS, Q_MEANS])))
    assert half.losses.item() == pytest.approx(0.55435524 + 0.5 * 0.91781341, abs=1e-7)


def test_running_means():
    assert moved_means(double(0.4), double(0.5)).item() == pytest.approx(0.41)


def test_first_batch_initialises_the_means_and_later_ones_move_them():
    adversary = GANPO(model_width=16, heads=4, feedforward=32, dropout=0.0).make_adversary(WIDTH, 0, "cpu")
    means = []
    for seed in range(2):
        seen = {}

        def gather(rows, seen=seen):
            seen[len(seen)] = torch.cat([rows, rows + 1])  # another process, whose scores are higher by 1
            return seen[len(seen) - 1]

        adversary.update(batch(seed), batch(seed + 10), 1e-3, gather)
        assert len(seen) == 6
        means.append(torch.stack([seen[i].mean() for i in range(6)]).view(2, 3))
        expected = means[0] if seed == 0 else 0.9 * means[0] + 0.1 * means[1]
        assert torch.allclose(adversary.means, expected)
    assert int(adversary.updates) == 2


def test_the_discriminators_learn_against_means_that_their_own_batch_has_moved():
    """The second batch's losses are those at 0.9 times the first means and 0.1 times its own, in the authors' order."""
    adversary = GANPO(model_width=16, heads=4, feedforward=32, dropout=0.0).make_adversary(WIDTH, 0, "cpu")

    def bce(scores, target):
        return torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))

    def by_hand(found, means):
        own, same, other = 0, 1, 2
        return [
            (
                bce(s[same] - m[own], 1.0)
                + bce(s[own] - m[same], 0.0)
                + bce(s[own] - m[other], 1.0)
                + bce(s[other] - m[own], 0.0)
            ).item()
            / 4
            for s, m in zip(found, means, strict=True)
        ]

    means = None
    for seed in range(3):
        seen = []
        report = adversary.update(
            batch(seed, shift=2.0 * seed),
            batch(seed + 10, shift=-seed),
            1e-2,
            lambda rows, seen=seen: (seen.append(rows), rows)[1],
        )
        found = torch.stack(seen).view(2, 3, -1).double()
        means = found.mean(-1) if means is None else 0.9 * means + 0.1 * found.mean(-1)
        assert [report["chosen"], report["rejected"]] == pytest.approx(by_hand(found, means), abs=1e-6)
        assert torch.allclose(adversary.means.double(), means, atol=1e-6)


def test_biases_start_at_zero():
    adversary = SMALL.make_adversary(WIDTH, 0, "cpu")
    biases = [values for name, values in adversary.named_parameters() if name.endswith("bias")]
    assert len(biases) == 2 * (3 + 2 * 6)  # three linear layers, and two in attention, two behind it, two norms per layer
    assert not any(bool(values.any()) for values in biases)


def test_same_seed_same_discriminators_and_the_global_stream_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = SMALL.make_adversary(WIDTH, 3, "cpu")
    one.update(batch(0), batch(1), 1e-3)
    assert torch.equal(torch.rand(3), expected)
    two = SMALL.make_adversary(WIDTH, 3, "cpu")
    two.update(batch(0), batch(1), 1e-3)
    other = SMALL.make_adversary(WIDTH, 4, "cpu")
    assert all(torch.equal(one.state_tensors()[name], values) for name, values in two.state_tensors().items())
    assert not torch.equal(one.chosen.positions, other.chosen.positions)
    assert not torch.equal(one.chosen.positions, one.rejected.positions)


@pytest.mark.parametrize("gradient", [True, False])  # torch computes the layers in another way without
def test_padding_changes_nothing(gradient):
    adversary = SMALL.make_adversary(WIDTH, 0, "cpu")
    hidden = torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(0)).requires_grad_(gradient)
    expected = adversary.chosen(answers(hidden, [5, 3]))
    junk = torch.full((2, 7, WIDTH), float("nan"))
    padded = torch.cat([torch.stack([hidden[0], torch.cat([hidden[1, :3], junk[0, :2]])]), junk], dim=1)
    assert adversary.chosen(answers(padded, [5, 3])).tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    alone = adversary.chosen(answers(hidden[1:, :3], [3]))
    assert alone.item() == pytest.approx(expected[1].item(), abs=1e-6)


def test_stride_and_cut():
    strided = GANPO(model_width=16, heads=4, feedforward=32, max_positions=3, stride=2).make_adversary(WIDTH, 0, "cpu")
    hidden = torch.randn(1, 9, WIDTH, generator=torch.Generator().manual_seed(0))
    whole = strided.chosen(answers(hidden, [9]))
    assert strided.chosen(answers(hidden[:, :5], [5])).item() == pytest.approx(whole.item(), abs=1e-6)  # places 0, 2, 4
    moved = hidden.clone()
    moved[:, [1, 3, 5, 6, 7, 8]] = 100.0
    assert strided.chosen(answers(moved, [9])).item() == pytest.approx(whole.item(), abs=1e-6)
    assert strided.chosen(answers(hidden[:, :4], [4])).item() == pytest.approx(
        strided.chosen(answers(hidden[:, :3], [3])).item(), abs=1e-6
    )
    assert strided.chosen(answers(hidden[:, :3], [3])).item() != pytest.approx(whole.item(), abs=1e-4)


def test_only_the_policys_hidden_states_get_a_gradient():
    adversary = SMALL.make_adversary(WIDTH, 0, "cpu")
    policy, reference = batch(0), batch(1)
    hidden = [a.hidden.requires_grad_() for pair in (policy, reference) for a in (pair.chosen, pair.rejected)]
    adversary.update(policy, reference, 1e-3)
    assert all(h.grad is None for h in hidden)
    SMALL(policy, reference, Context(adversary=adversary)).losses.mean().backward()
    assert all(bool((h.grad != 0).any()) for h in hidden[:2])
    assert not bool(hidden[0].grad[2, 4:].any())  # the third answer has four tokens
    assert all(h.grad is None for h in hidden[2:])
    assert all(p.grad is None and not p.requires_grad for p in adversary.parameters())
    assert not any(module.training for module in adversary.modules())


def test_before_any_update_the_means_are_the_batchs():
    adversary = SMALL.make_adversary(WIDTH, 0, "cpu")
    policy, reference = batch(0), batch(1)
    output = SMALL(policy, reference, Context(adversary=adversary))
    expected = [
        softplus(adversary.chosen(reference.chosen).mean() - adversary.chosen(policy.chosen)),
        softplus(adversary.rejected(reference.rejected).mean() - adversary.rejected(policy.rejected)),
    ]
    assert torch.allclose(output.terms["adversarial"], (expected[0] + expected[1]) / 2, atol=1e-6)
    assert output.losses.shape == (4,)
    assert int(adversary.updates) == 0


def test_updates_lower_the_loss_where_the_models_can_be_told_apart():
    adversary = SMALL.make_adversary(WIDTH, 0, "cpu")
    policy, reference = batch(0, rows=8, shift=-1.0), batch(1, rows=8, shift=1.0)
    reports = [adversary.update(policy, reference, 4e-3) for _ in range(30)]
    assert set(reports[0]) == {"chosen", "rejected", "grad_norm"}
    # reference and policy can be parted, the reference's two sides cannot: of four terms two can fall to 0
    for side in ("chosen", "rejected"):
        assert sum(r[side] for r in reports[-3:]) < 0.85 * sum(r[side] for r in reports[:3])
    assert bool((adversary.means[:, 1] > adversary.means[:, 0]).all())
    output = SMALL(policy, reference, Context(adversary=adversary))
    assert bool((output.terms["adversarial"] > 0.7).all())  # and so the policy is told to move


def test_learning_rate_is_a_ratio_of_the_policys():
    adversary = SMALL.make_adversary(WIDTH, 0, "cpu")
    before = {name: p.clone() for name, p in adversary.named_parameters()}
    adversary.update(batch(0), batch(1), 0.0)
    assert all(torch.equal(p, before[name]) for name, p in adversary.named_parameters())
    adversary.update(batch(0), batch(1), 2e-3)
    assert adversary.optimizer.param_groups[0]["lr"] == 1e-3
    assert not torch.equal(adversary.chosen.positions, before["chosen.positions"])


def test_a_resumed_run_has_the_same_bits():
    one = SMALL.make_adversary(WIDTH, 0, "cpu")
    for seed in range(3):
        one.update(batch(seed), batch(seed + 10), 1e-3)
    saved = one.state_tensors()
    assert all(isinstance(values, torch.Tensor) and not values.requires_grad for values in saved.values())
    two = SMALL.make_adversary(WIDTH, 99, "cpu")
    two.load_state_tensors(saved)
    torch.rand(7)
    reports = [adversary.update(batch(7), batch(8), 1e-3) for adversary in (one, two)]
    assert reports[0] == reports[1]
    first, second = one.state_tensors(), two.state_tensors()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(saved["module.chosen.positions"], first["module.chosen.positions"])  # saved is a copy
    assert torch.equal(
        SMALL(batch(3), batch(4), Context(adversary=one)).losses, SMALL(batch(3), batch(4), Context(adversary=two)).losses
    )


def test_a_state_from_before_the_first_update_or_of_another_size():
    saved = SMALL.make_adversary(WIDTH, 0, "cpu").state_tensors()
    fresh = SMALL.make_adversary(WIDTH, 1, "cpu")
    fresh.load_state_tensors(saved)
    assert torch.equal(fresh.chosen.positions, saved["module.chosen.positions"])
    with pytest.raises(ContractError, match="does not fit their settings"):
        SMALL.make_adversary(WIDTH + 1, 0, "cpu").load_state_tensors(saved)
    trained = SMALL.make_adversary(WIDTH, 0, "cpu")
    trained.update(batch(0), batch(1), 1e-3)
    cut = {name: values for name, values in trained.state_tensors().items() if not name.startswith("optimizer.exp_avg.")}
    with pytest.raises(ContractError, match="does not fit their settings"):
        fresh.load_state_tensors(cut)


def test_scores_are_float32_under_autocast():
    adversary = SMALL.make_adversary(WIDTH, 0, "cpu")
    pair = batch(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = adversary.chosen(pair.chosen)
    assert inside.dtype == torch.float32
    assert torch.allclose(inside, adversary.chosen(pair.chosen), atol=1e-6)


def test_a_gradient_that_is_not_finite_is_an_error_and_changes_nothing():
    adversary = SMALL.make_adversary(WIDTH, 0, "cpu")
    broken = batch(0)
    broken.chosen.hidden[0, 0, 0] = float("nan")
    with pytest.raises(TrainingError, match="update 1 of GANPO's discriminators"):
        adversary.update(broken, batch(1), 1e-3)
    assert not any(p.requires_grad for p in adversary.parameters())
    assert bool(torch.isfinite(adversary.chosen.positions).all())


def test_equal_logps_and_extremes():
    adversary = SMALL.make_adversary(WIDTH, 0, "cpu")
    for value in (0.0, 1e4, -1e4):
        policy = PairLogps(
            *(
                Logps((sign * torch.full((4,), value)).requires_grad_(), a.num_tokens, hidden=(value * a.hidden).requires_grad_())
                for sign, a in ((1, batch(0).chosen), (-1, batch(0).rejected))
            )
        )
        output = SMALL(policy, batch(1), Context(adversary=adversary))
        inputs = [t for a in (policy.chosen, policy.rejected) for t in (a.total, a.hidden)]
        gradients = torch.autograd.grad(output.losses.sum(), inputs)
        assert all(bool(torch.isfinite(values).all()) for values in (output.losses, *gradients))
        if value == 0:
            assert bool((gradients[0] < 0).all())
            assert bool((gradients[2] > 0).all())
            assert output.terms["preference"].tolist() == pytest.approx([0.69314718] * 4)


ONE_OF_TWO = """
import sys, torch, torch.distributed as dist
from lpo_tts.logprobs import Logps, PairLogps
from lpo_tts.losses.ganpo import GANPO

rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
torch.set_num_threads(1)
data = torch.load(sys.argv[3])
mine = [PairLogps(*(Logps(t, n, hidden=h) for t, n, h in pair)) for pair in data[rank]]

def gather(rows):
    parts = [torch.empty_like(rows) for _ in range(2)]
    dist.all_gather(parts, rows)
    return torch.cat(parts)

adversary = GANPO(model_width=16, heads=4, feedforward=32, dropout=0.0).make_adversary(6, 0, "cpu")
for _ in range(2):
    adversary.update(*mine, 1e-3, gather)
torch.save(adversary.state_tensors(), f"{store}.{rank}")
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_do_what_one_does_with_the_whole_batch(tmp_path):
    def plain(pair, rows):
        return [(a.total[rows], a.num_tokens[rows], a.hidden[rows]) for a in (pair.chosen, pair.rejected)]

    halves = [[plain(pair, rows) for pair in (batch(0), batch(1))] for rows in (slice(2), slice(2, 4))]
    torch.save(halves, tmp_path / "data")
    command = [sys.executable, "-c", ONE_OF_TWO]
    runs = [subprocess.Popen([*command, str(rank), str(tmp_path / "store"), str(tmp_path / "data")]) for rank in range(2)]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    first, second = (torch.load(tmp_path / f"store.{rank}") for rank in range(2))
    adversary = GANPO(model_width=16, heads=4, feedforward=32, dropout=0.0).make_adversary(WIDTH, 0, "cpu")
    for _ in range(2):
        adversary.update(batch(0), batch(1), 1e-3)
    for name, values in adversary.state_tensors().items():
        assert torch.equal(first[name], second[name])
        if name.startswith(("module.means", "optimizer.exp_avg.")):  # AdamW's first steps turn rounding into signs of steps
            assert torch.allclose(first[name], values, atol=1e-5), name


def test_what_is_missing_is_refused():
    with pytest.raises(ContractError, match=r"needs its discriminators \(context.adversary, .*\), found NoneType"):
        SMALL(batch(0), batch(1))
    adversary = SMALL.make_adversary(WIDTH, 0, "cpu")
    with pytest.raises(ContractError, match="found no reference"):
        SMALL(batch(0), None, Context(adversary=adversary))
    bare = PairLogps(Logps(torch.zeros(1), torch.tensor([1])), Logps(torch.zeros(1), torch.tensor([1])))
    with pytest.raises(ContractError, match=r"Logps.hidden is empty"):
        SMALL(bare, batch(1), Context(adversary=adversary))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GANPO(weight=-1), r"GANPO.weight must be at least 0, found -1"),
        (lambda: GANPO(dropout=1.5), r"GANPO.dropout must be at least 0 and below 1, found 1.5"),
        (lambda: GANPO(stride=0), r"GANPO.stride must be at least 1, found 0"),
        (lambda: GANPO(model_width=30), "model_width = 30 is no multiple of heads = 8"),
        (lambda: GANPO(discriminator_learning_rate_ratio=0), r"ratio must be above 0, found 0"),
        (lambda: GANPO(max_grad_norm=0), r"GANPO.max_grad_norm must be above 0, found 0"),
        (lambda: GANPO(inner=KTO()), "GANPO.inner = KTO takes unpaired data"),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_what_is_declared_and_structured():
    assert not GANPO().takes_weights
    assert (GANPO().needs_reference, GANPO().reduction, GANPO.data, GANPO.over_batch) == ("hidden", "sum", "pair", True)
    assert GANPO(inner=KTOPair()).inner == KTOPair()
    stateful = GANPO(inner=EpsilonDPO())
    assert (stateful.needs_logits, stateful.initial_state()) == ("both", {"beta": 0.01})
    loss = STRUCTURER.structure({"name": "ganpo", "inner": {"name": "dpo", "beta": 0.2}, "stride": 4}, Loss)
    assert loss == GANPO(inner=DPO(beta=0.2), stride=4)


def test_default_sizes():
    adversary = GANPO().make_adversary(32, 0, "cpu")
    assert adversary.chosen.positions.shape == (2048, 512)
    assert adversary.chosen.positions.std().item() == pytest.approx(0.02, rel=0.05)
    layers = adversary.chosen.layers
    assert len(layers) == 2
    assert (layers[0].self_attn.num_heads, layers[0].linear1.out_features, layers[0].norm_first) == (8, 2048, True)
    assert torch.linalg.matrix_norm(adversary.chosen.enter.weight, 2).item() == pytest.approx(1, rel=0.1)  # spectral norm
