"""NeuCodec (16 kHz in, 24 kHz out, one codebook of 65,536, 50 frames/s) on transformers' NeuCodecModel: NeuTTS's codec."""

from dataclasses import dataclass

from lpo_tts import hf
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.codecs.chunks import Chunked
from lpo_tts.codecs.semantic import LoadedSemanticCodec, load_semantic

EXPECTED = (
    "a NeuCodec checkpoint of transformers (config.json, model.safetensors, preprocessor_config.json), "
    "transformers 5.17 or newer, and torchaudio (extra `speaker`)"
)


@dataclass(frozen=True)
class NeuCodec(Chunked):
    """NeuCodec, 16 kHz in and 24 kHz out, one codebook of 65,536, 50 frames a second: the codec of NeuTTS.

    A recording that ends within a frame is filled up with silence before it is encoded. The package `neucodec` drops the
    sound in such a frame; where recordings end with a frame, both are the same.

    Chunks are not exact. Attention and the norms hear the whole of what they are given, so the codes of a recording that is
    longer than `chunk` depend on that setting; those of a shorter one do not.

    Attributes:
        model: hub id or folder of the checkpoint, in transformers' format.
        batch_size: recordings of equal length, or chunks of them, encoded at once.
        revision: commit, tag or branch of a hub id; None = what the hub has now.
    """

    model: str = "neuphonic/neucodec"
    batch_size: int = 8
    revision: str | None = None

    bounds = {"batch_size": at_least(1)}
    about = {
        "licence": "not verified",
        "sample_rate": 24000,
        "tokens_per_second": 50.0,
        "extra": "speaker",  # transformers' feature extractor asks for torchaudio
    }

    def __post_init__(self) -> None:
        check_settings(self, "")
        hf.check_revision(self.revision)

    def load(self, device: str = "cpu") -> LoadedSemanticCodec:
        """Loads model and feature extractor; raises ComponentError when they cannot be read."""
        model, extractor = load_semantic(self.model, self.revision, "neucodec", EXPECTED, "NeuCodecModel")
        return LoadedSemanticCodec(model.to(device).eval(), extractor, self, self.batch_size, pad=True)
