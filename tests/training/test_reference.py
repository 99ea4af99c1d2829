"""Reference log-probs: what they are keyed by, and that an interrupted computation goes on."""

import pytest
import torch

from lpo_tts.audio import import_torchaudio

import_torchaudio()
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

from lpo_tts.errors import ArtefactError, ConfigError, ContractError  # noqa: E402
from lpo_tts.training import reference as module  # noqa: E402
from lpo_tts.training.batch import PairExample, collate, data_hash  # noqa: E402
from lpo_tts.training.logps import answer_logps, split_pairs  # noqa: E402
from lpo_tts.training.reference import ReferenceLogps, compute_reference, model_hash  # noqa: E402


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
    assert loaded.ids == result.ids == tuple(pair.id for pair in PAIRS)
    direct = split_pairs(answer_logps(model, collate(PAIRS)))
    picked = loaded.take([pair.id for pair in PAIRS])
    assert torch.allclose(picked.chosen.total, direct.chosen.total, atol=1e-4)
    assert torch.allclose(picked.rejected.total, direct.rejected.total, atol=1e-4)
    assert picked.rejected.num_tokens.tolist() == [len(pair.rejected_ids) for pair in PAIRS]
    assert torch.equal(loaded.take(["p7", "p2"]).chosen.total, picked.chosen.total[[7, 2]])
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


def test_model_hash_sees_every_weight_and_nothing_else():
    one = llama()
    assert model_hash(one) == model_hash(llama().eval())
    with torch.no_grad():
        one.model.norm.weight[3] += 1e-3
    assert model_hash(one) != model_hash(llama())
