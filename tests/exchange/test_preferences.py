"""Preference pairs of others: every form of columns that holds ids is taken, every row that cannot be used says why."""

import pytest
import torch

from lpo_tts.backbones.flat_answers import FlatAnswers
from lpo_tts.codes import TokenLayout
from lpo_tts.errors import ArtefactError
from lpo_tts.exchange.preferences import Drop, Group, Preferences

pa = pytest.importorskip("pyarrow")
import pyarrow.parquet as pq  # noqa: E402

FIRST, SIZE, END = 20, 10, 19  # ids of codes, and the end


class Map(FlatAnswers):
    """Codes 20 to 29, two of a frame, end 19; prompts are any ids below 30."""

    tokenizer = range(30)

    def __init__(self):
        layout = TokenLayout.flat(FIRST, SIZE)
        super().__init__(TokenLayout((*layout.slots, type(layout.slots[0])(1, 0, FIRST, SIZE))), [END])


def write(path, rows, **types):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def row(prompt, chosen, rejected, **more):
    return {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected, **more}


GOOD = [20, 21, 22, 23, END]
OTHER = [24, 25, END]


def read(folder):
    found = list(Preferences(folder, Map()).groups())
    return [one for one in found if isinstance(one, Group)], [(one.id, one.reason) for one in found if isinstance(one, Drop)]


@pytest.mark.parametrize(
    "names",
    [
        ("prompt_ids", "chosen_ids", "rejected_ids"),
        ("prompt_input_ids", "chosen_input_ids", "rejected_input_ids"),
        ("prompt", "chosen", "rejected"),
    ],
)
def test_every_form_of_columns_that_holds_ids_is_taken(names, tmp_path):
    rows = [dict(zip(names, (prompt, GOOD, OTHER), strict=True)) for prompt in ([1, 2], [1, 3])]
    write(tmp_path / "data" / "train-00000-of-00001.parquet", rows)
    groups, drops = read(tmp_path)
    assert drops == []
    assert [one.tokens.tolist() for one in groups] == [[[1], [2]], [[1], [3]]]
    assert all(one.id.startswith("p") and len(one.id) == 17 for one in groups)
    (pair,) = groups[0].pairs.values()
    assert (pair.chosen, pair.rejected) == (f"{groups[0].id}#0", f"{groups[0].id}#1")
    assert groups[0].answers[pair.chosen].tokens.tolist() == [[one] for one in GOOD]


def test_rows_of_one_prompt_share_their_answers(tmp_path):
    third = [26, 27, END]
    rows = [row([1], GOOD, OTHER), row([1], GOOD, third), row([1], GOOD, OTHER), row([2], GOOD, OTHER), row([1], third, OTHER)]
    write(tmp_path / "x.parquet", rows)
    groups, drops = read(tmp_path)
    assert [len(one.answers) for one in groups] == [3, 2, 2]
    assert [len(one.pairs) for one in groups] == [2, 1, 1]
    assert groups[2].id == f"{groups[0].id}~2", "the same prompt once more, apart"
    assert drops == [("x.parquet:3", "the same pair stands twice")]
    ids = [name for group in groups for name in group.answers]
    assert len(set(ids)) == len(ids)


def test_what_our_export_adds_is_kept(tmp_path):
    more = {"id": "x", "prompt_id": "u1", "text": "one", "language": "de", "margins": '{"wer": 0.5}', "aspect": "style"}
    ids = {"chosen_candidate": "u1#3", "rejected_candidate": "elsewhere#0", "chosen_seed": 7, "rejected_seed": 8}
    write(tmp_path / "x.parquet", [row([1], GOOD, OTHER, split="dev", **more, **ids)])
    ((group,), drops) = read(tmp_path)
    (pair,) = group.pairs.values()
    assert (group.id, group.split, group.text, group.language, drops) == ("u1", "dev", "one", "de", [])
    assert (pair.id, pair.chosen, pair.rejected, pair.split, pair.aspect) == ("x", "u1#3", "u1#1", "dev", "style")
    assert pair.margins == {"wer": 0.5}
    assert [one.seed for one in group.answers.values()] == [7, 8]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row([], GOOD, OTHER), "prompt: no ids"),
        (row([1], [], OTHER), "chosen: no ids"),
        (row(None, GOOD, OTHER), "prompt: no ids"),
        (row([1, 30], GOOD, OTHER), r"prompt: id 30 lies outside the vocabulary (0 to 29)"),
        (row([1], GOOD, [-1, 24]), r"rejected: id -1 lies outside the vocabulary (0 to 29)"),
        (row([1], GOOD, GOOD), "chosen and rejected are the same"),
        (row([1], [5, 20, 21, END], OTHER), "chosen: token 5 at position 0 is no code of slot 0 (ids 20 to 29)"),
        (row([1], GOOD, [20, 21, 5, 22]), "rejected: token 5 at position 2 is no code of slot 0 (ids 20 to 29)"),
        (row([1], GOOD, [20, 21, 22, END]), "rejected: the last frame is incomplete: 1 of 2 tokens"),
        (row([1], [END], OTHER), "chosen: empty"),
    ],
)
def test_a_row_that_cannot_be_used_says_why(bad, reason, tmp_path):
    pq.write_table(
        pa.Table.from_pylist([row([9], GOOD, OTHER), bad], schema=pa.schema({name: pa.list_(pa.int32()) for name in bad})),
        tmp_path / "x.parquet",
    )
    groups, drops = read(tmp_path)
    assert len(groups) == 1
    assert drops == [("x.parquet:2", reason)]


def test_an_answer_that_was_cut_may_end_within_a_frame(tmp_path):
    write(tmp_path / "x.parquet", [row([9], GOOD, [20, 21, 22])])
    ((group,), drops) = read(tmp_path)
    assert drops == []
    assert not list(group.answers.values())[1].answer.finished


def test_a_prompt_in_two_splits_stays_in_the_first(tmp_path):
    write(tmp_path / "train-00000-of-00001.parquet", [row([1], GOOD, OTHER, id="a"), row([2], GOOD, OTHER, id="b")])
    write(tmp_path / "validation-00000-of-00001.parquet", [row([2], OTHER, GOOD, id="c"), row([3], GOOD, OTHER, id="b")])
    write(tmp_path / "test" / "0.parquet", [row([4], GOOD, OTHER, id="d")])
    groups, drops = read(tmp_path)
    assert [one.split for one in groups] == ["train", "train", "test"]
    assert drops == [("c", "its prompt stands in split train too"), ("b", "its id stands twice")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "a", "chosen": "b", "rejected": "c"}], "found text in prompt, chosen, rejected: which codes were sampled"),
        ([{"chosen": "b", "rejected": "c"}], "found text in chosen, rejected"),
        ([{"question": 1}], "expected the columns prompt_ids, chosen_ids, rejected_ids, found question"),
        ([row([1], GOOD, [1.5])], "column rejected_ids: expected lists of whole numbers, found list<"),
        ([row([[1, 2]], GOOD, OTHER)], "prompt_ids: expected lists of ids, as the recipe's backbone has, found list<"),
        ([row([1], GOOD, OTHER, prompt_id=3.5)], None),
    ],
)
def test_other_columns_are_one_line(rows, message, tmp_path):
    write(tmp_path / "x.parquet", rows)
    if message is None:  # a foreign column that happens to have a name of ours
        assert read(tmp_path)[1] == []
        return
    with pytest.raises(ArtefactError, match=message) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_without_parquet_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match=r"expected a data set with files \*\.parquet, found none"):
        Preferences(tmp_path, Map())


def test_every_pass_gives_the_same(tmp_path):
    generator = torch.Generator().manual_seed(0)
    codes = [[*torch.randint(FIRST, FIRST + SIZE, (4,), generator=generator).tolist(), END] for _ in range(40)]
    write(tmp_path / "x.parquet", [row([k % 3], codes[k], codes[k + 1]) for k in range(39)])
    source = Preferences(tmp_path, Map())
    first, second = ([one.pairs for one in source.groups() if isinstance(one, Group)] for _ in range(2))
    assert first == second
    assert sum(map(len, first)) == 39
