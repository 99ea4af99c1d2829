"""A tiny untrained model for any text of any language, in the tokens of the mini codec: what it says is noise.

It stands in for a published model where there is no GPU and no download, so that a corpus, the judges and the pair rules can
be tried on real recordings: `python -m recipes.samples.tiny --out build/samples/model`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lpo_tts.testing.tiny_models import end_soon

CODES = 1024  # of the mini codec
MARKS = ("<|text_start|>", "<|text_end|>", "<|voice_start|>", "<|speech_start|>", "<|speech_end|>")
END_SHARE = 0.03  # of the steps: answers of half a second or so


def write(folder: Path, seed: int = 0) -> None:
    """Writes tokenizer and weights in Hugging Face's format."""
    tokenizer = _tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
        model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=False, **shape))
    first = tokenizer.convert_tokens_to_ids("<|code_0|>")
    end_soon(model, range(first, first + CODES), tokenizer.convert_tokens_to_ids("<|speech_end|>"), END_SHARE)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, then marks and codes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_tokens([AddedToken(one, normalized=False) for one in (*MARKS, *(f"<|code_{code}|>" for code in range(CODES)))])
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|speech_end|>", pad_token="<|speech_end|>")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    options = parser.parse_args(arguments)
    write(options.out, options.seed)
    print(f"{options.out}: an untrained model of {CODES} codes, for any text")
    return 0


if __name__ == "__main__":
    sys.exit(main())
