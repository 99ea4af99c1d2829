"""Reference log-probs: what they are keyed by, and that an interrupted computation goes on."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lpo_tts.errors import ArtefactError, ConfigError, ContractError
from lpo_tts.lm.attention import install
from lpo_tts.lm.logps import answer_logps
from lpo_tts.lm.models import model_hash
from lpo_tts.training import reference as module
from lpo_tts.training.batch import collate
from lpo_tts.training.examples import ListExample, PairExample, data_hash
from lpo_tts.training.reference import ReferenceLogps, compute_reference


def llama(seed=0):
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=30,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            tie_word_embeddings=True,
        )
    )


def pairs_of(count):
    g = torch.Generator().manual_seed(0)

    def ids():
        return torch.randint(0, 30, (int(torch.randint(2, 30, (1,), generator=g)),), generator=g)

    return [PairExample(f"p{i}", ids(), ids(), ids()) for i in range(count)]


PAIRS = pairs_of(11)


def test_saved_and_loaded_equal_the_direct_forward(tmp_path):
    model, path = llama(), tmp_path / "reference.safetensors"
    seen = []
    result = compute_reference(model, PAIRS, path, batch_size=4, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(4, 11), (8, 11), (11, 11)]
    loaded = ReferenceLogps.load(path, model=model_hash(model), data=data_hash(PAIRS), precision="fp32")
    assert loaded.ids == result.ids
    assert sorted(loaded.ids) == sorted(pair.id for pair in PAIRS)
    direct = answer_logps(model, collate(PAIRS, pack=False))
    picked = loaded.take([pair.id for pair in PAIRS])
    assert torch.allclose(picked.total, direct.total, atol=1e-4)
    assert picked.num_tokens.tolist() == [len(answer) for pair in PAIRS for answer in pair.answers]
    assert picked.tokens is None
    assert torch.equal(loaded.take(["p7", "p2"]).total, picked.total[[14, 15, 4, 5]])
    with pytest.raises(ContractError, match="no reference log-probs for pair p99"):
        loaded.take(["p99"])


def test_a_file_of_something_else_is_refused_and_told_apart(tmp_path):
    path = tmp_path / "reference.safetensors"
    compute_reference(llama(), PAIRS, path)
    with pytest.raises(ArtefactError, match="made with another model"):
        compute_reference(llama(1), PAIRS, path)
    with pytest.raises(ArtefactError, match="made with another data"):
        compute_reference(llama(), PAIRS[1:], path)
    with pytest.raises(ArtefactError, match="made with another precision: expected bf16, found fp32"):
        compute_reference(llama(), PAIRS, path, precision="bf16")
    with pytest.raises(ConfigError, match="precision = 'fp16' is none of fp32, bf16"):
        compute_reference(llama(), PAIRS, precision="fp16")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ArtefactError, match="not a file of reference log-probs"):
        ReferenceLogps.load(path)
    with pytest.raises(ArtefactError, match="run the reference step first"):
        ReferenceLogps.load(tmp_path / "absent.safetensors")


def test_interrupted_and_taken_up_again_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE_EVERY", 1)
    compute_reference(llama(), PAIRS, tmp_path / "whole.safetensors", batch_size=2)

    def stop(done, of):
        if done >= 8:
            raise KeyboardInterrupt

    path = tmp_path / "torn.safetensors"
    with pytest.raises(KeyboardInterrupt):
        compute_reference(llama(), PAIRS, path, batch_size=2, progress=stop)
    assert not path.exists()
    seen = []
    compute_reference(llama(), PAIRS, path, batch_size=2, progress=lambda done, of: seen.append(done))
    assert seen == [8, 10, 11]  # six pairs were kept
    assert path.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["torn.safetensors", "whole.safetensors"]


@pytest.mark.parametrize("share", [True, False])
def test_packed_equals_padded(share):
    shared = [PairExample(f"q{i}", PAIRS[i % 3].prompt_ids, PAIRS[i % 2].chosen_ids, PAIRS[i].rejected_ids) for i in range(9)]
    padded = compute_reference(llama(), shared, batch_size=4, tokens=True)
    model = llama()
    install(model)
    packed = compute_reference(model, shared, batch_size=4, tokens=True, share=share)
    assert packed.ids == padded.ids
    assert torch.equal(packed.num_tokens, padded.num_tokens)
    assert torch.allclose(packed.total, padded.total, atol=1e-4)
    assert torch.allclose(packed.tokens, padded.tokens, atol=1e-4)
    assert (packed.model, packed.data) == (padded.model, padded.data)


def test_a_plan_of_packs_keeps_to_the_token_budget(monkeypatch):
    monkeypatch.setattr(module, "TOKEN_BUDGET", 60)
    model, seen = llama(), []
    install(model)
    found = compute_reference(model, PAIRS, batch_size=8, progress=lambda done, of: seen.append(done))
    assert len(seen) > 2
    assert sorted(found.ids) == sorted(pair.id for pair in PAIRS)
    assert torch.allclose(found.take(["p3"]).total, compute_reference(llama(), PAIRS).take(["p3"]).total, atol=1e-4)


def test_token_by_token_is_kept_and_made_anew_where_a_file_has_sums_alone(tmp_path, caplog):
    path = tmp_path / "reference.safetensors"
    sums = compute_reference(llama(), PAIRS, path)
    with pytest.raises(ContractError, match="need reference log-probs token by token, and these are sums; make them anew"):
        sums.check_covers(PAIRS, tokens=True)
    sums.check_covers(PAIRS)
    with caplog.at_level("INFO"):
        whole = compute_reference(llama(), PAIRS, path, tokens=True)
    assert "holds sums alone, token by token is needed: computing it anew" in caplog.text
    whole.check_covers(PAIRS, tokens=True)
    taken = ReferenceLogps.load(path).take(["p5", "p1"])
    assert taken.tokens.shape == (4, int(taken.num_tokens.max()))
    assert torch.allclose(taken.tokens.sum(-1), taken.total, atol=1e-4)
    for row, count in zip(taken.tokens, taken.num_tokens.tolist(), strict=True):
        assert bool((row[:count] < 0).all())
        assert not bool(row[count:].any())
    before = path.read_bytes()
    assert compute_reference(llama(), PAIRS, path).tokens is not None  # a file that has more than is needed will do
    assert path.read_bytes() == before


def test_what_is_covered():
    reference = compute_reference(llama(), PAIRS)
    with pytest.raises(ContractError, match="no reference log-probs for pair p99"):
        reference.check_covers([*PAIRS, PairExample("p99", [1], [2], [3])])
    other = PairExample("p3", [1], [2, 3], [4])
    found = " and ".join(str(len(answer)) for answer in PAIRS[3].answers)
    with pytest.raises(
        ContractError, match=f"pair p3 has answers of 2 and 1 tokens, the reference log-probs are of {found}; make"
    ):
        reference.check_covers([other])


def test_lists_of_any_size():
    lists = [ListExample("l", [1, 2], ([3], [4, 5], [6])), ListExample("m", [1], ([3, 3], [5]))]
    model = llama()
    found = compute_reference(model, lists)
    direct = answer_logps(model, collate(lists, pack=False))
    assert torch.allclose(found.take(["l", "m"]).total, direct.total, atol=1e-5)
    assert found.take(["l"]).num_tokens.tolist() == [1, 2, 1]


def test_non_finite_log_probs_name_the_pair():
    model = llama()
    with torch.no_grad():
        model.model.embed_tokens.weight[29] = float("inf")
    pairs = [pair for pair in PAIRS if not any((ids == 29).any() for ids in (pair.prompt_ids, *pair.answers))][:2]
    with torch.no_grad():
        model.lm_head.weight = torch.nn.Parameter(torch.zeros(30, 16))
    bad = PairExample("bad", [29], [1], [2])
    with pytest.raises(ContractError, match=r"gives non-finite log-probs to 1 pairs \(first: bad\)"):
        compute_reference(model, [*pairs, bad])


def test_model_hash_sees_every_weight_and_nothing_else():
    one = llama()
    assert model_hash(one) == model_hash(llama().eval())
    with torch.no_grad():
        one.model.norm.weight[3] += 1e-3
    assert model_hash(one) != model_hash(llama())
