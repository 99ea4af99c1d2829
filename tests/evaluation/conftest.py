"""The recogniser and the encoder of `echo`, which command lines name as `echo:Class`, are found; a small world to judge."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def world(tmp_path):
    """A list of six with voices; a baseline with two wrong words; a new system with a missing, a torn and a silent file."""
    from echo import RATE, speak
    from program import TEXTS

    from lpo_tts import audio

    rows = [
        {"id": name, "text": text, "voice": "voice.wav", "tags": {"set": "even" if int(name[1]) % 2 == 0 else "odd"}}
        for name, text in TEXTS.items()
    ]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    speak(tmp_path / "voice.wav", "voice")
    for name, text in TEXTS.items():
        speak(tmp_path / "old" / f"{name}.wav", text.replace("gate", "bus") if name in ("u0", "u1") else text, voice=0.75)
        speak(tmp_path / "new" / f"{name}.wav", text)
    (tmp_path / "new" / "u3.wav").unlink()
    (tmp_path / "new" / "u4.wav").write_bytes(b"RIFF no audio")
    audio.write(tmp_path / "new" / "u5.wav", torch.zeros(RATE), RATE)
    return tmp_path
