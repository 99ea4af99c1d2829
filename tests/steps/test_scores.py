"""Score tables read beside their candidates: in order, out of order, with holes, torn, with a row twice."""

import pytest

from lpo_tts import artefacts
from lpo_tts.errors import ArtefactError
from lpo_tts.records import Candidate, Score
from lpo_tts.steps.scores import ScoreReader, groups

IDS = [f"p{prompt}#{index}" for prompt in range(3) for index in range(2)]


def table(tmp_path, ids):
    path = tmp_path / "scores-wer.jsonl"
    rows = [Score(candidate_id=one, metric="wer", value=None if one == "p1#0" else IDS.index(one) / 10) for one in ids]
    artefacts.write_rows(path, rows)
    return path


def read(path, ids=IDS):
    reader = ScoreReader(path)
    found = [reader.get(one) for one in ids]
    reader.close()
    return found


@pytest.mark.parametrize("order", [IDS, IDS[::-1], IDS[3:] + IDS[:3]])
def test_details_come_with_their_values_where_they_are_asked_for(tmp_path, order):
    path = tmp_path / "scores-ending.jsonl"
    rows = [Score(candidate_id=one, metric="ending", value=0.5, detail={"kind": f"kind of {one}"}) for one in order]
    artefacts.write_rows(path, rows)
    reader = ScoreReader(path, details=True)
    assert [reader.read(one) for one in IDS[:-1]] == [(0.5, {"kind": f"kind of {one}"}) for one in IDS[:-1]]
    assert reader.get(IDS[-1]) == 0.5
    assert reader.read("p9#0") == (None, {})
    reader.close()
    plain = ScoreReader(path)
    assert [plain.read(one) for one in IDS] == [(0.5, {})] * len(IDS)
    plain.close()


VALUES = [0.0, 0.1, None, 0.3, 0.4, 0.5]


def test_values_come_in_any_order_of_the_table(tmp_path):
    assert read(table(tmp_path, IDS)) == VALUES
    assert read(table(tmp_path, IDS[::-1])) == VALUES
    assert read(table(tmp_path, IDS[3:] + IDS[:3])) == VALUES


def test_rows_are_read_no_further_than_they_are_asked_for(tmp_path):
    path = table(tmp_path, IDS)
    with path.open("a") as file:
        file.write("torn")
    reader = ScoreReader(path)
    assert [reader.get(one) for one in IDS] == VALUES
    with pytest.raises(ArtefactError, match="7: not valid JSON"):
        reader.close()


def test_a_candidate_without_a_row_has_no_value_and_strangers_do_no_harm(tmp_path):
    assert read(table(tmp_path, IDS[:2] + IDS[4:]), IDS[:4]) == [0.0, 0.1, None, None]


@pytest.mark.parametrize("ids", [[*IDS, "p0#0"], ["p0#0", *IDS], [*IDS[::-1], "p0#0"], [IDS[5], IDS[5], *IDS[:5]]])
def test_a_candidate_that_stands_twice_is_named(tmp_path, ids):
    with pytest.raises(ArtefactError, match="stands twice, first in line"):
        read(table(tmp_path, ids))


def candidate(row_id):
    return Candidate(
        id=row_id,
        prompt_id=row_id.partition("#")[0],
        index=0,
        seed=0,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        num_tokens=1,
        num_frames=1,
        finished=True,
    )


def test_candidates_come_by_prompt_and_must_stand_together():
    found = [[one.id for one in group] for group in groups(map(candidate, IDS))]
    assert found == [IDS[:2], IDS[2:4], IDS[4:]]
    assert list(groups([])) == []
    with pytest.raises(ArtefactError, match="candidates of prompt 'p0' do not stand together"):
        list(groups(map(candidate, [*IDS, "p0#2"])))
