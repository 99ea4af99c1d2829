"""A miniature of every corpus that a program of data_prep reads, in order: three recordings; trials spoil the last one."""

import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE, SECONDS = 16000, 0.8
FORMATS = {".mp3": ("MP3", None), ".opus": ("OGG", "OPUS"), ".flac": ("FLAC", None), ".wav": ("WAV", None)}
SAID = ("gate one", "gate two", "room three")


def sound(suffix: str, seconds: float = SECONDS, rate: int = RATE) -> bytes:
    """A recording in the format that a suffix tells: a tone, which is enough for whoever only decodes."""
    data = io.BytesIO()
    form, subtype = FORMATS[suffix]
    soundfile.write(data, 0.3 * np.sin(np.arange(int(seconds * rate)) / 5), rate, format=form, subtype=subtype)
    return data.getvalue()


@dataclass(frozen=True)
class Corpus:
    """A corpus in order, and where its last row can be spoilt.

    Attributes:
        files: path below RAW_DIR -> contents.
        audio: the recording of the last row; "" where a trial has no file of its own to spoil.
        table: the file with the last row's text; "" where texts are in names of files.
        name: how the table names the recording of the last row; "" where it names none.
        ids: the ids of the last row and of the one before it, as the table has them; empty where they are `name` itself.
        text: the last row's text as the table has it.
        more: further arguments.
        rows: recordings that reach the manifest.
        lost: how many of them one bad row may cost.
        listed: whether a table tells of each recording, so that a lost one is missed.
        free: whether tables may name recordings anywhere, since the user makes them.
    """

    files: Mapping[str, bytes]
    audio: str = ""
    table: str = ""
    name: str = ""
    ids: tuple[str, str] = ("", "")
    text: str = ""
    more: Sequence[str] = ()
    rows: int = 3
    lost: int = 1
    listed: bool = True
    free: bool = False

    def lay(self, raw: Path) -> Path:
        """Writes it below a folder, which it returns."""
        for name, data in self.files.items():
            path = raw / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return raw


def _with(audio: Sequence[str], **tables: str) -> dict[str, bytes]:
    """Recordings by path, and tables by path (`/` and `.` cannot stand in names of arguments: give `**{path: text}`)."""
    return {path: sound(Path(path).suffix) for path in audio} | {path: text.encode() for path, text in tables.items()}


def _lines(*rows: Any) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def tar(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A plain tar."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def _libritts() -> Corpus:
    chapter, names = "train-clean-100/19/198", [f"19_198_00000{k}_000000" for k in range(3)]
    table = f"{chapter}/19_198.trans.tsv"
    audio = [f"{chapter}/{name}.wav" for name in names]
    text = _lines(*(f"{name}\t{said}\t{said}" for name, said in zip(names, SAID, strict=True)))
    return Corpus(_with(audio, **{table: text}), audio[-1], table, names[2], (names[2], names[1]), SAID[2])


def _vctk() -> Corpus:
    names = [f"p225_00{k}" for k in range(1, 4)]
    audio = [f"wav48_silence_trimmed/p225/{name}_mic2.flac" for name in names]
    texts = {f"txt/p225/{name}.txt": said for name, said in zip(names, SAID, strict=True)}
    return Corpus(_with(audio, **texts), audio[-1], list(texts)[-1], text=SAID[2])


def _aishell3() -> Corpus:
    names = [f"SSB00050{k:03d}.wav" for k in range(1, 4)]
    said = ("我 wo3 们 men5", "他 ta1 们 men5", "你 ni3 们 men5")
    audio = [f"train/wav/SSB0005/{name}" for name in names]
    text = _lines(*(f"{name}\t{one}" for name, one in zip(names, said, strict=True)))
    return Corpus(
        _with(audio, **{"train/content.txt": text, "test/content.txt": ""}),
        audio[-1],
        "train/content.txt",
        names[2],
        (names[2], names[1]),
        said[2],
    )


def _common_voice() -> Corpus:
    names = [f"common_voice_en_{k}.mp3" for k in range(3)]
    head = "client_id\tpath\tsentence\tup_votes\tdown_votes"
    text = _lines(head, *(f"{'ab' * 64}\t{name}\t{said}\t2\t0" for name, said in zip(names, SAID, strict=True)))
    audio = [f"en/clips/{name}" for name in names]
    tables = {"en/train.tsv": text, "en/dev.tsv": head + "\n", "en/test.tsv": head + "\n"}
    return Corpus(_with(audio, **tables), audio[-1], "en/train.tsv", names[2], (names[2], names[1]), SAID[2])


def _hifi_tts() -> Corpus:
    names = [f"audio/92_clean/1/a_{k}.flac" for k in range(3)]
    rows = [{"audio_filepath": one, "text": said, "text_normalized": said} for one, said in zip(names, SAID, strict=True)]
    table = "92_manifest_clean_train.json"
    return Corpus(_with(names, **{table: _lines(*rows)}), names[-1], table, names[2], (names[2], names[1]), SAID[2])


def _mls() -> Corpus:
    names = [f"4800_10003_00000{k}" for k in range(3)]
    audio = [f"mls_german/train/audio/4800/10003/{name}.flac" for name in names]
    table = "mls_german/train/transcripts.txt"
    text = _lines(*(f"{name}\t{said}" for name, said in zip(names, SAID, strict=True)))
    return Corpus(_with(audio, **{table: text}), audio[-1], table, names[2], (names[2], names[1]), SAID[2])


def _ears() -> Corpus:
    tasks = ("rainbow_01_fast", "rainbow_02_fast", "rainbow_03_fast")
    audio = [f"p001/{task}.wav" for task in tasks]
    text = json.dumps(dict(zip(tasks, SAID, strict=True)))
    return Corpus(_with(audio, **{"transcripts.json": text}), audio[-1], "transcripts.json", text=SAID[2], listed=False)


def _expresso() -> Corpus:
    names = [f"ex01_happy_0000{k}" for k in range(3)]
    audio = [f"audio_48khz/read/ex01/happy/base/{name}.wav" for name in names]
    text = _lines(*(f"{name}\t{said}" for name, said in zip(names, SAID, strict=True)))
    tables = {"read_transcriptions.txt": text, "splits/train.txt": _lines(*names), "splits/dev.txt": "", "splits/test.txt": ""}
    return Corpus(_with(audio, **tables), audio[-1], "read_transcriptions.txt", names[2], (names[2], names[1]), SAID[2])


def _fsdd() -> Corpus:
    audio = [f"recordings/{k}_jackson_{k}.wav" for k in range(3)]
    return Corpus(_with(audio), audio[-1], listed=False)


def _seed_tts_eval() -> Corpus:
    voices, wavs = [f"prompt-wavs/v{k}.wav" for k in range(3)], [f"en/wavs/a{k}.wav" for k in range(3)]
    text = _lines(*(f"a{k}|voice {k}|{voices[k]}|{SAID[k]}" for k in range(3)))
    audio = [*(f"en/{voice}" for voice in voices), *wavs]
    return Corpus(
        _with(audio, **{"en/meta.lst": text}), audio[2], "en/meta.lst", voices[2], ("a2|", "a1|"), SAID[2], rows=6, lost=2
    )


def _librispeech_pc() -> Corpus:
    names = [f"1-2-{k}" for k in range(3)]
    audio = [f"train-clean/1/2/{name}.flac" for name in names]
    rows = [{"audio_filepath": f"train-clean/1/2/{one}.flac", "text": said} for one, said in zip(names, SAID, strict=True)]
    tables = {
        "train-clean/1/2/1-2.trans.txt": _lines(*(f"{name} {said.upper()}" for name, said in zip(names, SAID, strict=True))),
        "pc/train-clean.json": _lines(*rows),
    }
    return Corpus(_with(audio, **tables), audio[-1], "pc/train-clean.json", text=SAID[2], more=["--pc", "{raw}/pc"])


def emilia_row(name: str, said: str, **changes: Any) -> dict[str, Any]:
    """A row as Emilia has it."""
    row = {"id": name, "wav": f"EN_B00000/{name}.mp3", "text": said, "duration": SECONDS, "speaker": "s", "language": "en"}
    return row | changes


def _emilia() -> Corpus:
    names = [f"EN_B00000_S00000_W00000{k}" for k in range(3)]
    rows = [emilia_row(name, said, wav=f"EN_B00000/{name}.mp3") for name, said in zip(names, SAID, strict=True)]
    audio = [f"EN/EN_B00000/{name}.mp3" for name in names]
    table = "EN/EN_B00000.jsonl"
    ids = (json.dumps(names[2]), json.dumps(names[1]))
    return Corpus(_with(audio, **{table: _lines(*rows)}), audio[-1], table, rows[2]["wav"], ids, SAID[2])


def emilia_members(numbers: Sequence[int] = range(3)) -> list[tuple[str, bytes]]:
    """The members of a WebDataset tar: rows and recordings in turn."""
    members = []
    for k in numbers:
        name = f"EN_B00000_S00000_W00000{k}"
        members += [(f"{name}.json", json.dumps(emilia_row(name, SAID[k % 3])).encode()), (f"{name}.mp3", sound(".mp3"))]
    return members


def _emilia_tar() -> Corpus:
    return Corpus({"EN/EN-B000000.tar": tar(emilia_members())})


def gigaspeech(*segments: Mapping[str, Any], path: str = "audio/podcast/P0001/POD1.opus") -> dict[str, Any]:
    """GigaSpeech.json with one recording."""
    recording = {"aid": "POD1", "path": path, "source": "podcast", "segments": list(segments)}
    return {"dataset": "GigaSpeech", "language": "EN", "audios": [recording]}


def segment(number: int, **changes: Any) -> dict[str, Any]:
    """A segment of it: a second of a recording of three."""
    times = {"begin_time": float(number), "end_time": number + 0.9}
    return {"sid": f"POD1_S{number}", "speaker": "N/A", **times, "text_tn": SAID[number].upper(), "subsets": ["{XS}"]} | changes


def _gigaspeech() -> Corpus:
    table = json.dumps(gigaspeech(*map(segment, range(3)))).encode()
    files = {"GigaSpeech.json": table, "audio/podcast/P0001/POD1.opus": sound(".opus", 3.0)}
    return Corpus(files, "", "GigaSpeech.json", "audio/podcast/P0001/POD1.opus", ("POD1_S2", "POD1_S1"), SAID[2].upper(), lost=3)


def cut(number: int, **changes: Any) -> dict[str, Any]:
    """A cut as lhotse writes it, with one supervision."""
    recording = {
        "id": f"r{number}",
        "sources": [{"type": "file", "channels": [0], "source": f"r{number}.wav"}],
        "duration": SECONDS,
    }
    told = {"id": f"s{number}", "start": 0.0, "duration": SECONDS, "text": SAID[number], "speaker": "s", "language": "English"}
    times = {"start": 0.0, "duration": SECONDS, "channel": 0}
    return {"id": f"c{number}", **times, "supervisions": [told], "recording": recording, "type": "MonoCut"} | changes


def _lhotse() -> Corpus:
    audio, table = [f"r{k}.wav" for k in range(3)], "cuts_train.jsonl"
    rows = _lines(*map(cut, range(3)))
    return Corpus(_with(audio, **{table: rows}), audio[-1], table, "r2.wav", ('"s2"', '"s1"'), SAID[2], free=True)


CORPORA: dict[str, tuple[str, Callable[[], Corpus]]] = {  # what it is called here -> door, corpus
    "libritts": ("data_prep.libritts", _libritts),
    "vctk": ("data_prep.vctk", _vctk),
    "aishell3": ("data_prep.aishell3", _aishell3),
    "common_voice": ("data_prep.common_voice", _common_voice),
    "hifi_tts": ("data_prep.hifi_tts", _hifi_tts),
    "mls": ("data_prep.mls", _mls),
    "ears": ("data_prep.ears", _ears),
    "expresso": ("data_prep.expresso", _expresso),
    "fsdd": ("data_prep.fsdd", _fsdd),
    "seed_tts_eval": ("data_prep.seed_tts_eval", _seed_tts_eval),
    "librispeech --pc": ("data_prep.librispeech", _librispeech_pc),
    "emilia": ("data_prep.emilia", _emilia),
    "emilia tar": ("data_prep.emilia", _emilia_tar),
    "gigaspeech": ("data_prep.gigaspeech", _gigaspeech),
    "lhotse_cuts": ("data_prep.lhotse_cuts", _lhotse),
}
