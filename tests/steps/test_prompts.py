"""Prompts: voices of another text, speaker-disjoint splits, hard sentences, new prompts per round. Hand-made manifests."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from lpo_tts import cli, recipe
from lpo_tts.artefacts import file_hash, read_object, read_rows, write_rows
from lpo_tts.config import merge, read_yaml
from lpo_tts.errors import ArtefactError, ConfigError
from lpo_tts.prompting.hard import OWN_WORDS, TABLE, HardSettings, hard_prompts, read_sentences
from lpo_tts.prompting.splits import with_splits
from lpo_tts.records import Prompt, Utterance
from lpo_tts.steps import check
from lpo_tts.steps.prompts import PromptsSettings, make_prompts

MINI = Path(__file__).resolve().parents[2] / "recipes" / "mini" / "mini.yaml"
MANIFEST = Path("manifest.jsonl")


def row(number, text, speaker="a", split="train", **more):
    settings = {"duration": 2.0, "language": "en", **more}
    return Utterance(id=f"u{number}", audio=f"{number}.wav", text=text, speaker=speaker, split=split, **settings)


def made(rows, seed=0, **settings):
    return list(make_prompts(rows, PromptsSettings(manifest=MANIFEST, **settings), seed))


def prompts(rows, seed=0, **settings):
    return [one for _, one in made(rows, seed, **settings) if isinstance(one, Prompt)]


def voices(rows, **settings):
    """Id of a prompt -> ids of the voices it gets under many seeds."""
    found = {}
    for seed in range(30):
        for one in prompts(rows, seed, **settings):
            found.setdefault(one.id, set()).add(one.voice.id)
    return found


def test_a_voice_says_another_text_in_the_same_language_and_split_and_has_the_wanted_length():
    rows = [
        row(0, "Well-known words."),
        row(1, "well known WORDS"),  # the same words
        row(2, "Other words", duration=0.5),
        row(3, "Other words", duration=9.0),
        row(4, "Andere Wörter", language="de"),
        row(5, "Other words", speaker="b"),
        row(6, "Other words", split="dev"),
        row(7, "Quite other words"),
        row(8, "Still other words"),
    ]
    found = voices(rows, min_voice_duration=1.0, max_voice_duration=8.0)
    assert found["u0"] == {"u7", "u8"}
    assert found["u7"] == {"u0", "u1", "u8"}
    failed = {key: one for key, one in made(rows, min_voice_duration=1.0, max_voice_duration=8.0) if isinstance(one, str)}
    assert set(failed) == {"u4", "u5", "u6"}
    assert failed["u4"].startswith("speaker a has no other recording in split train to take the voice from (another text, lang")
    assert voices(rows)["u0"] == {"u2", "u3", "u7", "u8"}


def test_rows_without_a_split_are_train_and_share_their_voices():
    found = voices([row(0, "one", split=None), row(1, "two")])
    assert found == {"u0": {"u1"}, "u1": {"u0"}}


def corpus(speakers, each=5, split=None):
    return [row(f"{who}.{k}", f"text {who} {k}", speaker=f"s{who}", split=split) for who in range(speakers) for k in range(each)]


def test_a_speaker_is_never_on_two_sides_and_the_shares_are_about_right():
    found = with_splits(corpus(400), "speaker", 0.1, 0.2, seed=0)
    splits = {}
    for one in found:
        splits.setdefault(one.speaker, set()).add(one.split)
    assert all(len(some) == 1 for some in splits.values())
    counts = Counter(next(iter(some)) for some in splits.values())
    assert counts["dev"] == pytest.approx(40, abs=20)  # more than three standard deviations
    assert counts["test"] == pytest.approx(80, abs=27)
    assert sum(counts.values()) == 400
    by_row = Counter(one.split for one in with_splits(corpus(400), "utterance", 0.1, 0.2, seed=0))
    assert by_row["test"] == pytest.approx(400, abs=60)


@pytest.mark.parametrize("by", ["speaker", "utterance"])
def test_rows_that_come_later_change_no_split(by):
    before = {one.id: one.split for one in with_splits(corpus(60), by, 0.1, 0.2, seed=3)}
    after = {one.id: one.split for one in with_splits(corpus(90, 6)[::-1], by, 0.1, 0.2, seed=3)}
    assert before.items() <= after.items()
    other = {one.id: one.split for one in with_splits(corpus(60), by, 0.1, 0.2, seed=4)}
    assert other != before


def test_the_recipes_seed_does_not_change_who_is_in_the_test():
    def tested(seed):
        return {one.id for one in prompts(corpus(40), seed, split_by="speaker", test_share=0.2) if one.split == "test"}

    assert tested(0) == tested(1) != set()


def test_speakers_in_two_splits_of_the_manifest_are_refused_where_they_must_not_be():
    rows = [row(0, "one"), row(1, "two", split="test"), row(2, "three", speaker="b"), row(3, "four", speaker="b")]
    assert len(with_splits(rows, None, 0, 0, 0)) == 4
    with pytest.raises(
        ArtefactError, match=r"expected every speaker in one split, found 1 of 2 in several, first: 'a' in test and"
    ):
        made(rows, split_by="speaker")


def test_rows_without_a_split_follow_their_speaker():
    rows = [row(0, "one", split="test"), row(1, "two", split=None), *corpus(40)]
    found = {one.id: one.split for one in with_splits(rows, "speaker", 0.0, 0.3, seed=0)}
    assert found["u1"] == "test"


def test_a_split_that_stays_empty_is_said():
    with pytest.raises(ArtefactError, match=r"none of the 2 speakers of the manifest fell into split dev, whose share is 0.001"):
        with_splits(corpus(2), "speaker", 0.001, 0.0, seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dev_share": 0.1}, "split_by: expected speaker or utterance where dev_share or test_share is set"),
        ({"split_by": "speaker", "dev_share": 0.5, "test_share": 0.5}, "expected a sum below 1, found 1"),
        ({"min_voice_duration": 3.0, "max_voice_duration": 2.0}, "max_voice_duration: expected at least min_voice_duration"),
        ({"per_round": "new"}, "per_round: new needs `train`"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        PromptsSettings(manifest=MANIFEST, **settings)


def own_words(**settings):
    return HardSettings(kinds=OWN_WORDS, **settings)


def test_the_share_of_hard_prompts_is_of_all_prompts_and_counts_against_the_limit():
    rows = corpus(20, 10, split="train") + [row(f"t{k}", f"test {k}", split="test", speaker="t") for k in range(10)]
    found = prompts(rows, train=100, hard=own_words(share=0.2))
    hard = [one for one in found if "hard" in one.tags]
    assert len([one for one in found if one.split == "train"]) == 100
    assert len(hard) == 20
    assert Counter(one.tags["hard"] for one in hard) == {"repetition": 7, "short": 7, "long": 6}
    assert all(one.split == "train" and one.target is None for one in hard)
    assert len({one.id for one in found}) == len(found)
    everything = prompts(rows, hard=own_words(share=0.2))
    assert len([one for one in everything if "hard" in one.tags]) == 50  # of 250
    tested = prompts(rows, hard=own_words(share=0.5, splits=("test",)))
    assert Counter(one.split for one in tested if "hard" in one.tags) == {"test": 10}


def test_hard_prompts_do_not_change_those_of_the_corpus_and_stand_among_them():
    rows = corpus(4, 10, split="train")
    plain, mixed = prompts(rows), prompts(rows, hard=own_words(share=0.5))
    assert [one for one in mixed if "hard" not in one.tags] == plain
    assert any("hard" in one.tags for one in mixed[:20])
    assert any("hard" in one.tags for one in mixed[-20:])


def test_kinds_of_own_words_use_no_other_word_and_imitate_another_recording():
    texts = ["no gate", "seven", "door blue three two", "gate seven four", "stop the red door now please"]
    rows = [row(k, text, speaker="ab"[k % 2]) for k, text in enumerate(texts * 2)]
    known = {word for text in texts for word in text.split()}
    for one in prompts(rows, hard=own_words(share=0.8, num_joined=3)):
        if "hard" not in one.tags:
            continue
        words = one.text.split()
        assert set(words) <= known
        assert one.voice in rows
        assert one.voice.text != one.text
        if one.tags["hard"] == "short":
            assert len(words) == 1
        elif one.tags["hard"] == "long":
            assert any(one.text == " ".join([a, b, c]) for a in texts for b in texts for c in texts), (
                "three texts of the corpus, as they are"
            )
            others = [text for text in texts if text != one.voice.text]
            assert any(one.text == " ".join([a, b, c]) for a in others for b in others for c in others), "none is the voice's"
        else:
            again = max(len(run) for run in re.findall(r"((\b\w+\b)(?: \2\b)*)", one.text) for run in [run[0].split()])
            whole = any(one.text in (f"{text} {text}", f"{text} {text} {text}") for text in texts)
            assert again in (3, 4, 5, 6) or whole


def test_marks_stay_behind_the_last_of_repeated_words():
    rows = [row(0, "No, he said."), row(1, "A quite different text")]
    texts = {one.text for one in prompts(rows, hard=HardSettings(share=0.97, kinds=("repetition",))) if "hard" in one.tags}
    assert "No No No, he said." in texts
    assert all(text.count(",") in (0, 1) or text.count("he said.") > 1 for text in texts if text.startswith("No"))
    short = {one.text for one in prompts(rows, hard=HardSettings(share=0.9, kinds=("short",))) if "hard" in one.tags}
    assert short <= {"No", "he", "said", "A", "quite", "different", "text"}


def test_the_table_has_every_kind_in_english_and_chinese_and_fills_every_place():
    table = read_sentences(TABLE)
    assert list(table) == ["numbers", "abbreviations", "tongue_twister", "code_switching", "enumeration"]
    assert all(set(languages) == {"en", "zh"} for languages in table.values())
    for language in ("en-GB", "zh"):
        texts = (
            tuple(f"some words {k}" for k in range(8))
            if language != "zh"
            else ("你好。", "今天天气很好，我们走吧。", "再见", "请坐", "谢谢你，老师。", "明天见", "好的", "没关系。")
        )
        rows = [row(k, text, language=language) for k, text in enumerate(texts)]
        found = [one for one in prompts(rows, hard=HardSettings(share=0.99)) if "hard" in one.tags]
        assert len(found) == 792
        assert {one.tags["hard"] for one in found} == {*OWN_WORDS, *table}
        for one in found:
            assert one.language == language
            assert not set("{}") & set(one.text)
            assert one.text.strip() == one.text != ""
    numbers = [one.text for one in found if one.tags["hard"] == "numbers"]
    assert len(set(numbers)) > 0.9 * len(numbers)


def test_hard_prompts_hang_on_the_seed_alone():
    rows = corpus(3, 10, split="train")
    settings = {"hard": HardSettings(share=0.5)}
    assert prompts(rows, 1, **settings) == prompts(rows, 1, **settings)
    assert prompts(rows, 1, **settings) != prompts(rows, 2, **settings)


def test_a_sentence_of_the_table_is_in_one_split_alone():
    rows = corpus(3, 10, split="train") + [row(f"t{k}", f"test {k}", split="test", speaker="t") for k in range(30)]
    hard = HardSettings(share=0.5, kinds=("tongue_twister",), splits=("train", "test"))
    said = {
        split: {one.text for one in prompts(rows, hard=hard) if "hard" in one.tags and one.split == split}
        for split in hard.splits
    }
    assert len(said["train"]) == len(said["test"]) == 6
    assert not said["train"] & said["test"]


def test_prompts_without_a_voice_can_be_hard_too():
    found = prompts(corpus(1, 4, split="train"), voice="none", hard=own_words(share=0.5))
    assert [one for one in found if "hard" in one.tags]
    assert all(one.voice is None for one in found)


def test_sentences_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        yaml.safe_dump({"names": {"en": ["Ask for {name}.", "Tell {name} so."]}, "numbers": {"en": ["Just {digits}."]}})
    )
    rows = corpus(2, 20, split="train")
    hard = HardSettings(share=0.5, kinds=("names", "numbers"), sentences=path)
    texts = {kind: [] for kind in hard.kinds}
    for one in prompts(rows, hard=hard):
        if "hard" in one.tags:
            texts[one.tags["hard"]].append(one.text)
    assert all(re.fullmatch(r"(Ask for|Tell) \w+( so)?\.", text) for text in texts["names"])
    assert all(re.fullmatch(r"Just \d{6}\.", text) for text in texts["numbers"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("numbers: {en: ['Just {digit}.']}", r"'Just {digit}.' has {digit}, which nothing fills in language 'en'"),
        ("numbers: [one]", "numbers: expected `language: [sentence, ...]`"),
        ("short: {en: [one]}", "the kind 'short' is made of the corpus' own words"),
        ("[]", "expected `kind: {language: [sentence, ...]}`"),
        ("numbers: {en: ['", "is no YAML file"),
    ],
)
def test_a_wrong_file_of_sentences_is_named(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        HardSettings(share=0.1, sentences=path).table()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_kinds_that_there_are_none_of_are_named():
    with pytest.raises(ConfigError, match="no kind named 'riddles'"):
        HardSettings(share=0.1, kinds=("riddles",)).table()
    rows = [row(0, "un deux", language="fr"), row(1, "trois", language="fr")]
    with pytest.raises(ArtefactError, match=r"no sentence of kind 'numbers' for split train in the corpus' languages \(fr\)"):
        next(hard_prompts(rows, rows, HardSettings(share=0.1, kinds=("numbers",)), "train", 0))
    rows = [row(k, f"phrase {k}", language="fr") for k in range(9)]
    kinds = {one.tags["hard"] for one in prompts(rows, hard=HardSettings(share=0.9)) if "hard" in one.tags}
    assert kinds == set(OWN_WORDS)


def rounds(rows, count, **settings):
    found = []
    for number in range(1, count + 1):
        found.append([one for one in prompts(rows, round=number, **settings) if one.split == "train"])
    return found


def test_every_round_takes_other_prompts_until_the_corpus_is_used_up():
    rows = corpus(5, 5, split="train") + [row(f"t{k}", f"test {k}", split="test", speaker="t") for k in range(3)]
    found = rounds(rows, 3, train=8, per_round="new")
    ids = [{one.id for one in some} for some in found]
    assert [len(some) for some in ids] == [8, 8, 8]
    assert not ids[0] & ids[1]
    assert not (ids[0] | ids[1]) & ids[2]
    assert found[0] == [one for one in prompts(rows, train=8) if one.split == "train"]
    tested = [{one.id for one in prompts(rows, train=8, per_round="new", round=k) if one.split == "test"} for k in (1, 2)]
    assert tested[0] == tested[1] != set()
    message = "round 4 takes 8 new utterances of split train, but earlier rounds have left 1 of 25"
    with pytest.raises(ArtefactError, match=message):
        rounds(rows, 4, train=8, per_round="new")
    again = rounds(rows, 4, train=8, per_round="cycle")
    assert again[:3] == found
    last = {one.id for one in again[3]}
    assert len(last) == 8
    assert len(last & ids[0]) == 7  # one was left


def test_hard_prompts_of_a_round_are_new_too():
    rows = corpus(5, 8, split="train")
    found = rounds(rows, 2, train=10, per_round="new", hard=HardSettings(share=0.4, kinds=("numbers", "long")))
    hard = [{one.text for one in some if "hard" in one.tags} for some in found]
    assert [len(some) for some in hard] == [4, 4]
    assert not hard[0] & hard[1]


def test_a_recipes_rounds_go_through_the_corpus():
    loaded = recipe.load(MINI, ["rounds=3", "prompts.train=50", "prompts.per_round=new"])
    assert [one.prompts.round for one in loaded.in_rounds()] == [1, 2, 3]
    assert [one.prompts.round for one in recipe.load(MINI, ["rounds=3"]).in_rounds()] == [1, 1, 1]
    hard = recipe.load(MINI, ["prompts.hard={share: 0.2, kinds: [repetition, short, long]}", "prompts.split_by=speaker"])
    assert hard.prompts.hard == HardSettings(share=0.2, kinds=OWN_WORDS)
    with pytest.raises(ConfigError, match=r"prompts.hard.share: .*must be above 0 and below 1|share must be above 0"):
        recipe.load(MINI, ["prompts.hard={share: 1.0}"])


def test_the_blocks_of_the_page_are_recipes(tmp_path):
    page = (MINI.parents[2] / "docs" / "prompts.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(one) for one in re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)]
    sections = [one for one in blocks if {"prompts", "sample"} & set(one)]
    loaded = [recipe.structure(merge(read_yaml(MINI), one)) for one in sections]
    assert len(loaded) == 6
    (tickets,) = (one for one in blocks if one not in sections)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tickets))
    hard = HardSettings(share=0.5, sentences=tmp_path / "mine.yaml", kinds=("tickets",))
    assert any("Street at" in one.text for one in prompts(corpus(2, 5, split="train"), hard=hard))


def test_a_speaker_of_very_many_recordings_gets_other_texts_in_no_time():
    found = prompts([row(number, f"text {number % 3000}") for number in range(6000)])
    assert len(found) == 6000  # 36 million comparisons would take a minute
    assert all(one.voice.text != one.text for one in found)
    assert len({one.voice.id for one in found}) > 3000


def test_many_recordings_of_one_text_leave_the_one_other():
    rows = [*(row(number, "the same") for number in range(600)), row(600, "another")]
    assert {one.voice.id for one in prompts(rows) if one.id != "u600"} == {"u600"}


def listed(folder, *some):
    """A table of prompts in a folder of its own; returns its path."""
    path = folder / "list" / "prompts.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(path, some)
    return path


def test_prompts_that_are_the_test_stay_as_they_are(tmp_path):
    voice = row("v", "What the voice says.", speaker="x")
    tests = [
        Prompt(id="t1", text="Said by none.", voice=voice),
        Prompt(id="t2", text="Other words!", voice=voice, target=row("t", "…")),
    ]
    path = listed(tmp_path, *tests)
    rows = [row(0, "one"), row(1, "two"), row(2, "other WORDS"), row(3, "three", split="test"), row(4, "four", split="dev")]
    settings = {"manifest": tmp_path / "manifest" / "m.jsonl", "test_prompts": path}
    found = dict(make_prompts(rows, PromptsSettings(**settings), 0))
    assert (found["t1"].split, found["t1"].voice.text, found["t1"].voice.audio) == ("test", voice.text, "../list/v.wav")
    assert found["t2"].target.audio == "../list/t.wav"
    assert found["u2"] == f"its text stands in {path}, which is the test", "train never sees a text of the test"
    assert "u3" not in found, "the manifest's own test rows are not used"
    assert {key for key, one in found.items() if isinstance(one, Prompt)} == {"t1", "t2", "u0", "u1"}
    some = dict(make_prompts(rows, PromptsSettings(**settings, test=1, voice="none"), 0))
    assert some["t1"].voice is None
    assert "t2" not in some


def test_prompts_that_are_the_test_are_refused_where_they_cannot_be(tmp_path):
    settings = PromptsSettings(manifest=tmp_path / "m.jsonl", test_prompts=listed(tmp_path))
    with pytest.raises(ArtefactError, match=r"prompts.test_prompts: expected prompts in .*prompts.jsonl, found none"):
        list(make_prompts([row(0, "one")], settings, 0))
    with pytest.raises(ConfigError, match=r"hard.splits: expected no test where test_prompts is set"):
        PromptsSettings(manifest=MANIFEST, test_prompts=MANIFEST, hard=HardSettings(share=0.5, splits=("test",)))
    clash = PromptsSettings(manifest=tmp_path / "m.jsonl", test_prompts=listed(tmp_path, Prompt(id="u0", text="x")))
    assert dict(make_prompts([row(1, "a"), row(2, "b"), row(0, "one")], clash, 0))["u0"].startswith("its id stands in")


def test_the_step_writes_them_and_says_what_is_wrong_with_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(MINI.parents[2])  # the mini recipe names its checkpoints from there
    rows = [row(0, "one"), row(1, "two"), row(2, "three", split="dev"), row(3, "four", split="dev")]
    (tmp_path / "corpus").mkdir()
    write_rows(tmp_path / "corpus" / "manifest.jsonl", rows)
    path = listed(tmp_path, Prompt(id="t1", text="five", voice=row("v", "six"), tags={"list": "en"}))
    out = tmp_path / "out"
    arguments = [str(MINI), f"prompts.manifest={tmp_path / 'corpus' / 'manifest.jsonl'}", f"out={out}"]
    assert cli.main(["prompts", *arguments, f"prompts.test_prompts={path}"]) == 0
    (found,) = [one for one in read_rows(out / "prompts.jsonl", Prompt) if one.split == "test"]
    assert (found.id, found.tags, found.voice.audio) == ("t1", {"list": "en"}, "../list/v.wav")
    meta = read_object(out / "prompts.jsonl.meta.json")
    assert meta["settings"]["test_prompts"] == "prompts.jsonl"
    assert meta["inputs"]["test_prompts"] == file_hash(path)
    capsys.readouterr()
    assert cli.main(["prompts", *arguments]) == 2
    assert "test_prompts" in capsys.readouterr().err, "settings that changed are named"
    given = [arguments[1], f"out={tmp_path / 'new'}", f"prompts.test_prompts={path}"]
    (absent,) = check.problems(recipe.load(MINI, given).run(), (), ("prompts", "synthesize"))
    assert "5 of 5 recordings are not there" in absent, "split test is there, and its voice is counted"
    listed(tmp_path, Prompt(id="t1", text="five", voice=row("v", "six"), target=row("t", "five")))
    (absent,) = check.problems(recipe.load(MINI, given).run(), (), ("prompts", "evaluate"))
    assert "6 of 6 recordings are not there" in absent, "so is the recording of its text, which tells the judges' own error"
    (absent,) = check.problems(recipe.load(MINI, [*given, "synthesize.floor_prompts=0"]).run(), (), ("prompts", "evaluate"))
    assert "5 of 5 recordings are not there" in absent
    made = recipe.load(MINI, arguments[1:]).run()
    assert "prompts.jsonl: " in "".join(check.problems(made, (), ("evaluate",)))
    assert not check.problems(made, (), ("pair",)), "nothing is heard there"
    other = [*arguments[1:2], f"out={tmp_path / 'other'}", f"prompts.test_prompts={tmp_path / 'none.jsonl'}"]
    found = check.problems(recipe.load(MINI, other).run(), ("prompts",), ("prompts",))
    assert any(one.startswith(f"prompts.test_prompts: cannot read {tmp_path / 'none.jsonl'}") for one in found), found
