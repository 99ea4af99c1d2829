"""Reading parts: those that are wanted alone, counting without tensors, and rows that disagree with their tensors."""

import pytest
import torch

from lpo_tts.backbones.base import PromptInputs
from lpo_tts.codes import Codes
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Candidate
from lpo_tts.steps.candidates import Sampled, iterate_candidates, part_paths, read_parts, read_wanted, write_part


def sampled(number: int, num_tokens: int = 50) -> Sampled:
    row = Candidate(
        id=f"p{number // 4}#{number % 4}",
        prompt_id=f"p{number // 4}",
        index=number % 4,
        seed=number,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        num_tokens=num_tokens,
        num_frames=num_tokens,
        finished=True,
    )
    ids = torch.arange(number, number + num_tokens)
    return Sampled(row, PromptInputs(ids[:3, None]), ids[:, None], Codes((ids,)))


@pytest.fixture
def folder(tmp_path):
    for part in range(3):
        write_part(tmp_path, part, [sampled(number) for number in range(8 * part, 8 * part + 8)])
    return tmp_path


def test_wanted_candidates_come_in_order_with_tensors_of_their_own(folder):
    found = list(read_wanted(folder, {"p5#1", "p0#2", "none"}))
    assert [one.row.id for one in found] == ["p0#2", "p5#1"]
    whole = {one.row.id: one for one in read_parts(folder)}
    for one in found:
        assert torch.equal(one.tokens, whole[one.row.id].tokens)
        assert torch.equal(one.prompt.tokens, whole[one.row.id].prompt.tokens)
        assert one.tokens.untyped_storage().nbytes() == 50 * 8, "a view would keep the whole part"
    assert not list(read_wanted(folder, set()))


def test_parts_without_a_wanted_candidate_and_counting_need_no_tensors(folder):
    (folder / "part-00001.safetensors").unlink()
    assert len(list(iterate_candidates(folder))) == 24
    assert len(list(read_wanted(folder, {"p0#0", "p5#3"}))) == 2
    with pytest.raises(ArtefactError, match=r"part-00001\.safetensors"):
        list(read_wanted(folder, {"p2#0"}))


def test_rows_that_disagree_with_their_tensors_are_named(folder):
    write_part(folder, 7, [sampled(24)])
    rows = (folder / "part-00007.jsonl").read_text()
    (folder / "part-00007.jsonl").write_text(rows.replace('"num_tokens": 50', '"num_tokens": 49'))
    with pytest.raises(ArtefactError, match="p6#0 says 49 tokens, its shard holds 50"):
        list(read_wanted(folder, {"p6#0"}))


def test_parts_stay_in_order_beyond_five_digits(tmp_path):
    for number in (99_999, 100_000, 2):
        (tmp_path / f"part-{number:05d}.jsonl").touch()
    assert [path.stem for path in part_paths(tmp_path)] == ["part-00002", "part-99999", "part-100000"]
