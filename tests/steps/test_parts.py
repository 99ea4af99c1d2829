"""Parts before they are loaded: what would be downloaded, what is expected, and one line for each that is not here."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import constants

from lpo_tts import cli, hf, recipe
from lpo_tts.backbones.expected import expected
from lpo_tts.backbones.flat import EndSettings, FlatBackbone, SlotSettings
from lpo_tts.codecs.encodec import EncodecCodec
from lpo_tts.codecs.mini import MiniCodec
from lpo_tts.steps.parts import Part, absent, downloads, outlook

LLASA = Path(__file__).resolve().parents[2] / "recipes" / "llasa-1b.yaml"
FAMILIES = recipe.FAMILIES


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A machine with an empty cache, on which no hub is asked."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def test_a_recipe_without_its_weights(offline, capsys):
    revision = "0123456789abcdef"
    overrides = [f"backbone.revision={revision}", "evaluate.judges.dnsmos.metric={name: duration}", "train.precision=fp32"]
    assert cli.main(["check", str(LLASA), *overrides, "--offline"]) == 2
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == "recipe llasa-1b: settings are valid"
    assert "  licence: CC BY-NC 4.0" in lines
    would = lines.index("would download (sizes are known to the hub alone):")
    expects = lines.index("expects:")
    assert lines[would + 1 : would + 5] == [
        "  HKUSTAudio/xcodec2-hf, newest revision, licence: CC BY-NC 4.0 (not verified)",
        "    for codec; read by codecs/xcodec2 (Xcodec2Codec)",
        f"  HKUSTAudio/Llasa-1B at revision {revision}",
        "    for backbone; read by backbones/flat (FlatBackbone)",
    ]
    whisper = next(at for at, line in enumerate(lines) if line.startswith("  openai/whisper-large-v3-turbo"))
    assert lines[whisper + 1].startswith("    for score wer, judge training-wer (training judge); read by asr/whisper")
    told = "\n".join(lines[expects:])
    for fact in ("audio at 16,000 Hz, 50 codes a second", "slot 0: <|s_0|> to <|s_65535|>", "ends: <|SPEECH_GENERATION_END|>"):
        assert fact in told, fact
    faults = shown.err.removeprefix("lpo-tts: ").splitlines()
    assert [fault.split(":")[0] for fault in faults] == [
        *("prompts.manifest", "codec", "backbone", "score wer", "score similarity"),
        *("judge judge-wer (judge)", "judge training-wer (training judge)", "judge training-similarity (training judge)"),
    ]
    assert f"fetch it by `hf download HKUSTAudio/Llasa-1B --revision {revision}`, or name a folder" in faults[2]
    assert "data_prep" in faults[0]


def test_what_is_here_is_not_downloaded(offline, monkeypatch):
    part = Part("codec", EncodecCodec(model="facebook/encodec_24khz"))
    assert [one.at for one in downloads(part)] == ["facebook/encodec_24khz"]
    folder = offline / "models--facebook--encodec_24khz"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc123")
    assert not hf.is_cached("facebook/encodec_24khz"), "a name, and no files"
    (folder / "snapshots" / "abc123").mkdir(parents=True)
    (folder / "snapshots" / "abc123" / "config.json").write_text("{}")
    assert downloads(part) == []
    assert outlook([part], FAMILIES) == []
    assert absent(part, FAMILIES) is None
    assert hf.is_cached("facebook/encodec_24khz", "abc123")
    assert not hf.is_cached("facebook/encodec_24khz", "other")


def test_folders_are_no_downloads(offline, tmp_path):
    assert downloads(Part("codec", MiniCodec(model="checkpoints/codec"))) == [], "it reads folders alone"
    assert downloads(Part("codec", EncodecCodec(model="./checkpoints/codec"))) == []
    (tmp_path / "checkpoints" / "codec").mkdir(parents=True)
    assert downloads(Part("codec", EncodecCodec(model="checkpoints/codec"))) == []


def test_where_a_hub_is_asked_parts_are_tried(offline, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    part = Part("codec", EncodecCodec())
    assert absent(part, FAMILIES) is None
    assert outlook([part], FAMILIES)[0] == "downloads what the hub has of (sizes are known to the hub alone):"


def test_a_part_may_say_itself_what_it_expects(offline):
    @dataclass(frozen=True)
    class Own:
        model: str = "somebody/codec"
        revision: str | None = None

        def expects(self):
            return ["a codec that sings", "in two voices"]

    lines = outlook([Part("codec", Own())], FAMILIES)
    assert lines[lines.index("expects:") + 1 :] == ["  codec:", "    a codec that sings", "    in two voices"]
    assert "Own)" in lines[2]


def test_frames_of_several_slots_are_told():
    levels = ((0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (2, 2), (2, 3))
    slots = tuple(
        SlotSettings(first=f"<custom_token_{10 + 4096 * number}>", size=4096, level=level, index=index)
        for number, (level, index) in enumerate(levels)
    )
    backbone = FlatBackbone(model="m", template="<custom_token_3>{text}<|eot_id|>", slots=slots, end=("<custom_token_2>",))
    assert expected(backbone) == [
        "a vocabulary with 28,672 ids for codes, 7 slots a frame, each a run without gaps:",
        "  slot 0: <custom_token_10> to <custom_token_4105>, level 0",
        "  slot 1: <custom_token_4106> to <custom_token_8201>, level 1",
        "  slot 2: <custom_token_8202> to <custom_token_12297>, level 2",
        "  slot 3: <custom_token_12298> to <custom_token_16393>, level 2",
        "  slot 4: <custom_token_16394> to <custom_token_20489>, level 1",
        "  slot 5: <custom_token_20490> to <custom_token_24585>, level 2",
        "  slot 6: <custom_token_24586> to <custom_token_28681>, level 2",
        "a codec with 3 codebooks of 4,096, 4,096, 4,096 codes, with 1, 2, 4 codes in a frame",
        "ends: <custom_token_2>",
        "special tokens of the prompt: <custom_token_3>, <|eot_id|>",
        "weights held as float32",
    ]


def test_ends_may_be_a_run_of_ids():
    @dataclass(frozen=True)
    class Converted:
        slots: tuple = (SlotSettings(first="<|s_0|>", size=6561),)
        end: tuple = ("<|eos1|>", EndSettings(first="<|s_6561|>", size=200))

    assert "ends: <|eos1|>, 200 ids from <|s_6561|> on" in expected(Converted())
