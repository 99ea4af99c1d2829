"""The child's side of the codec protocol (docs/extend/codec.md): give `serve` a function that loads a codec.

It needs Python 3.8 and numpy alone, so that it runs in the environment of any codec. Copy it beside a server of your own.
"""

import json
import os
import struct
import sys
import threading
import time
import traceback

import numpy as np

PROTOCOL = 1
MAGIC = b"LPOC"
HEAD = struct.Struct("<4sII")  # magic, bytes of the JSON header, bytes of the data behind it
DTYPES = {"encode": "<f4", "decode": "<i4"}  # what comes in

_HERE = os.path.dirname(os.path.abspath(__file__))
# Servers bear the names of the packages they use, which `import` would otherwise find here first.
sys.path[:] = [path for path in sys.path if os.path.abspath(path or os.curdir) != _HERE]


def serve(load):
    """Answers requests on stdin until it ends; never returns.

    Args:
        load: takes a device ("cpu", "cuda:0") and the path of a reference recording, or None; returns an object with
            `sample_rate` and `frame_rate` in Hz, `codebook_sizes`, and `decode`. It may have `input_sample_rate` and
            `encode`. `encode` takes a list of waveforms (num_samples,) float32, and returns for each a list of levels
            (num_frames,) of integers. `decode` takes such codes, and returns waveforms. What a library prints goes to stderr.
    """
    source, sink = _own_pipes()
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    try:
        sys.exit(_answer(load, source, sink))
    except (EOFError, BrokenPipeError):  # lpo-tts has ended, or needs the codec no more
        sys.exit(0)


def only_device(device):
    """Hides all GPUs but one; returns "cuda" or "cpu". For libraries that choose themselves; call it before torch is imported."""
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return "cpu"
    number = int(device.partition(":")[2] or 0)
    visible = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[number] if visible else str(number)
    return "cuda"


def one_line(error):
    """An error as one line: its class, and what it says."""
    return "{}: {}".format(type(error).__name__, " ".join(str(error).split()) or "no message")


def _own_pipes():
    """Files over the two pipes; descriptors 0 and 1 become /dev/null and stderr, so that no library reads or writes a message."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink


def _die_with(parent):
    """Ends this process when its parent is gone, also in the midst of a long computation."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _answer(load, source, sink):
    start, _ = _read(source)
    if start.get("protocol") != PROTOCOL:
        told = "the server speaks version {} of the protocol, lpo-tts version {}".format(PROTOCOL, start.get("protocol"))
        _write(sink, {"error": told + "; take serve.py of the same release"})
        return 1
    try:
        codec = load(start["device"], start.get("voice"))
        hello = {
            "protocol": PROTOCOL,
            "sample_rate": int(codec.sample_rate),
            "input_sample_rate": int(getattr(codec, "input_sample_rate", codec.sample_rate)),
            "frame_rate": float(codec.frame_rate),
            "codebook_sizes": [int(size) for size in codec.codebook_sizes],
            "can_encode": hasattr(codec, "encode"),
        }
    except Exception as error:  # noqa: BLE001  # whatever a library raises is told as one line, its traceback on stderr
        traceback.print_exc()
        _write(sink, {"error": one_line(error)})
        return 1
    _write(sink, hello)
    while True:
        header, data = _read(source)
        try:
            answer, arrays = _work(codec, header, data)
        except Exception as error:  # noqa: BLE001  # one request may fail; the next is another
            traceback.print_exc()
            answer, arrays = {"error": one_line(error)}, []
        _write(sink, dict(answer, id=header.get("id")), arrays)


def _work(codec, header, data):
    """The answer to one request: its header without the id, and its arrays."""
    work = header["do"]
    values = np.frombuffer(data, DTYPES[work])
    if work == "encode":
        waves = [wave.astype(np.float32) for wave in np.split(values, np.cumsum(header["lengths"])[:-1])]
        codes = [[np.asarray(level).reshape(-1) for level in item] for item in codec.encode(waves)]
        return {"lengths": [[len(level) for level in item] for item in codes]}, [
            level.astype("<i4") for item in codes for level in item
        ]
    flat = [length for item in header["lengths"] for length in item]
    levels = iter(np.split(values.astype(np.int64), np.cumsum(flat)[:-1]))
    waves = codec.decode([[next(levels) for _ in item] for item in header["lengths"]])
    waves = [np.asarray(wave, "<f4").reshape(-1) for wave in waves]
    return {"lengths": [len(wave) for wave in waves]}, waves


def _read(source):
    magic, header_size, data_size = HEAD.unpack(_exactly(source, HEAD.size))
    if magic != MAGIC:
        raise SystemExit(f"expected a message of the codec protocol on stdin, found {magic!r}; lpo-tts starts this")
    return json.loads(_exactly(source, header_size).decode()), _exactly(source, data_size)


def _exactly(source, size):
    data = source.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _write(sink, header, arrays=()):
    text = json.dumps(header).encode()
    sink.write(HEAD.pack(MAGIC, len(text), sum(array.nbytes for array in arrays)))
    sink.write(text)
    for array in arrays:
        sink.write(array.tobytes())
    sink.flush()
