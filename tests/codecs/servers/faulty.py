"""A codec server that goes wrong in the way its first argument names; run by tests/codecs/test_process.py."""

import itertools
import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "recipes" / "codec_servers"))
import numpy as np
import serve

FAULT = sys.argv[1]


class Faulty:
    sample_rate, frame_rate, codebook_sizes = 8000, 2000.0, (16,)

    def __init__(self, voice):
        self.voice, self.calls = voice, 0

    def encode(self, audio):
        if FAULT == "wide codes":
            return [[np.full(-(-len(wave) // 4), 16)] for wave in audio]
        if FAULT == "lost frame":
            return [[np.zeros(len(wave) // 4, np.int64)] for wave in audio]
        raise ValueError("a recording\nthat it does not like")

    def decode(self, codes):
        self.calls += 1
        waves = [np.repeat(levels[0] / 16, 4).astype(np.float32) for levels in codes]
        if FAULT == "nan":
            waves[-1][-1] = np.nan
        elif FAULT == "short":
            waves[0] = waves[0][1:]
        elif FAULT == "killed" and self.calls == 2:
            sys.stderr.write("first line\nsomething of the second line\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        elif FAULT == "slow":
            time.sleep(60)
        elif FAULT == "endless":
            for number in itertools.count():
                sys.stderr.write(f"still at work on {number}\n")
                sys.stderr.flush()
        elif FAULT == "prints":
            sys.stdout.write("a library prints\n")
            os.write(1, b"and its compiled part too\n")
            sys.stderr.write("noise\n" * 100_000)
        elif FAULT == "voice":
            waves = [np.full(len(wave), len(self.voice), np.float32) for wave in waves]
        return waves


def raw(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<4sII", b"LPOC", len(text), len(data)) + text + data


HELLO = {
    "protocol": 1,
    "sample_rate": 8000,
    "input_sample_rate": 8000,
    "frame_rate": 2000.0,
    "codebook_sizes": [16],
    "can_encode": True,
}
WITHOUT_SERVE = {
    "garbage": b"Loading model ... done\n",
    "version": raw(HELLO | {"protocol": 99}),
    "no rate": raw(HELLO | {"sample_rate": None}),
    "no codebook": raw(HELLO | {"codebook_sizes": []}),
    "no json": struct.pack("<4sII", b"LPOC", 5, 0) + b"hello",
    "huge": struct.pack("<4sII", b"LPOC", 2, 2**31) + b"{}",
}


def load(device, voice):
    if FAULT == "no weights":
        raise FileNotFoundError("weights.bin is\nnot there")
    if FAULT == "slow start":
        time.sleep(60)
    return Faulty(voice)


if FAULT in WITHOUT_SERVE:
    sys.stdout.buffer.write(WITHOUT_SERVE[FAULT])
    sys.stdout.flush()
    time.sleep(60)
elif FAULT == "old server":
    serve.PROTOCOL = 99
    serve.serve(load)
elif FAULT == "ends":
    sys.exit("no module named torch")
elif FAULT == "wrong id":
    sys.stdin.buffer.read(1)
    sys.stdout.buffer.write(raw(HELLO) + raw({"id": 77, "lengths": [4]}, bytes(16)))
    sys.stdout.flush()
    time.sleep(60)
else:
    serve.serve(load)
