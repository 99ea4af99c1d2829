"""What prompts and ids of published models must be, worked out by hand from their documented layouts."""

import torch

from lpo_tts.codes import Codes


def spelt(text, first=0):
    """Ids of a text in a vocabulary of bytes in GPT-2's order: `!` to `~` first, then two runs above 127, then the rest."""
    ids = []
    for byte in text.encode():
        if 33 <= byte <= 126:
            ids.append(first + byte - 33)
        elif 161 <= byte <= 172:
            ids.append(first + byte - 161 + 94)
        elif byte >= 174:
            ids.append(first + byte - 174 + 106)
        elif byte <= 32:
            ids.append(first + 188 + byte)
        else:
            ids.append(first + (255 if byte == 173 else 221 + byte - 127))
    return ids


def voice_of(sizes):
    """Two frames: codes 1, 2, ... of each level, and the last code of each level last."""
    levels = []
    for level, (rate, size) in enumerate(sizes):
        codes = torch.arange(1, 2 * rate + 1) + 10 * level
        codes[-1] = size - 1
        levels.append(codes)
    return Codes(tuple(levels))


SNAC_SIZES = [(1, 4096), (2, 4096), (4, 4096)]


def snac_voice(marks):
    """The ids of `voice_of(SNAC_SIZES)` behind the marks: slot k begins 10 + 4096 k behind custom token 0."""
    first = marks + 10
    slots = [[1, 11, 21, 22, 12, 23, 24], [4095, 13, 25, 26, 4095, 27, 4095]]
    return [first + 4096 * slot + code for frame in slots for slot, code in enumerate(frame)]


# Llama's marks: 128000 begins a text, 128009 ends it; custom token 0 is 128256.
ORPHEUS_END = [128009, 128260, 128261, 128257]
LLASA_HEAD = [128000, 128006, *spelt("user"), 128007, *spelt("\n\nConvert the text to speech:"), 128258]
LLASA_TAIL = [128259, 128009, 128006, *spelt("assistant"), 128007, *spelt("\n\n"), 128260]
NEUTTS_HEAD = [*spelt("user: Convert the text to speech:"), 151648]  # TEXT_PROMPT_START
NEUTTS_TAIL = [151649, *spelt("\nassistant:"), 151646]  # TEXT_PROMPT_END, SPEECH_GENERATION_START
MAYA = (
    '<description="Realistic female voice in the 30s with an american accent. '
    'Normal pitch, warm timbre, conversational pacing."> '
)
UNITTS = {
    "before": [
        151644,  # <|im_start|>
        *spelt(
            "system\n### 你输出的音色要求：\n"
            "当处于必须进行语音回复的情形下，你应该以如下示例音频的声音种类来予以回复，示例音频的声音如下：\n"
            "示例音频对应的文字:Oh\n示例音频："
        ),
        184835,  # <|inter_audio_begin|>
    ],
    "behind": [
        184836,  # <|inter_audio_end|>
        *spelt("\n\n### 你的输出模式：\n你的输出模式：【语音或者音频】\n### 用户输入模式：\n【文本】是用户当前的输入模式。"),
        *(151645, 151643, 151644),  # <|im_end|>, <|endoftext|>, <|im_start|>
        *spelt("user\n你要把【Hi.】这句话转为语音。"),
        *(151645, 151643, 151644),
        *spelt("assistant\n"),
        184832,  # <|beginofaudio|>
    ],
}
COSYVOICE3 = [158485, *spelt("You are a helpful assistant."), 151646]  # <|sos|>, ..., <|endofprompt|>

# What "Hi." becomes: without a voice, and with one in which "Oh" is said; None where the model has no such prompt.
PROMPTS = {
    "orpheus-3b": ([128259, 128000, *spelt("tara: Hi."), *ORPHEUS_END], None),
    "orpheus-3b-pretrained": (
        [128259, 128000, 39, 72, 13, *ORPHEUS_END],
        [
            *[128259, 128000, 46, 71, *ORPHEUS_END, *snac_voice(128256), 128258, 128262],
            *[128259, 128000, 39, 72, 13, *ORPHEUS_END],
        ],
    ),
    "maya1": ([128259, 128000, *spelt(MAYA + "Hi."), *ORPHEUS_END], None),
    "veena": ([128259, 156940, 220, 39, 72, 13, 128260, 128261, 128257], None),
    "vyvotts-qwen3": ([151672, 39, 72, 13, 151645, 151673, 151674, 151670], None),
    "vyvotts-lfm2": ([64403, 1, 47, 80, 21, 7, 64404, 64405, 64401], None),
    "llasa-1b": (
        [*LLASA_HEAD, 39, 72, 13, *LLASA_TAIL],
        [*LLASA_HEAD, 46, 71, 220, 39, 72, 13, *LLASA_TAIL, 128264 + 1, 128264 + 65535],
    ),
    "neutts-air": (
        [*NEUTTS_HEAD, *spelt("hˈaɪ."), *NEUTTS_TAIL],
        [*NEUTTS_HEAD, *spelt("ˈoʊ hˈaɪ."), *NEUTTS_TAIL, 151652 + 1, 151652 + 65535],
    ),
    "neutts-nano": (
        [*NEUTTS_HEAD, *spelt("hˈaɪ."), *NEUTTS_TAIL],
        [*NEUTTS_HEAD, *spelt("ˈoʊ hˈaɪ."), *NEUTTS_TAIL, 151652 + 1, 151652 + 65535],
    ),
    "neutts-2e": (
        [151648, 39, 72, 13, 151649, 151646],
        [151648, 46, 71, 220, 39, 72, 13, 151649, 151646, 151658 + 1, 151658 + 65535],
    ),
    "unitts": (None, [*UNITTS["before"], 152064 + 1, 152064 + 32767, *UNITTS["behind"]]),
    "cosyvoice3": (
        [*COSYVOICE3, 39, 72, 13, 158487],
        [*COSYVOICE3, 46, 71, 39, 72, 13, 158487, 151924 + 1, 151924 + 6560],
    ),
    "glm-tts": (
        [39, 72, 13, 59260],
        [46, 71, 220, 39, 72, 13, 59260, 59262 + 1, 59262 + 32767],
    ),
    "encodec-lm": (
        [256, 39, 72, 13, 257, 258, 259],
        [256, 39, 72, 13, 257, 258, 261 + 1, 1285 + 11, 261 + 1023, 1285 + 1023, 259],
    ),
}
# Documented ids: of the first code of every slot, and of the ends in order.
IDS = {
    **dict.fromkeys(("orpheus-3b", "orpheus-3b-pretrained", "maya1"), ([128266 + 4096 * slot for slot in range(7)], [128258])),
    "veena": ([128266 + 4096 * slot for slot in range(7)], [128258, 128262]),
    "vyvotts-qwen3": ([151679 + 4096 * slot for slot in range(7)], [151671]),
    "vyvotts-lfm2": ([64410 + 4096 * slot for slot in range(7)], [64402]),
    "llasa-1b": ([128264], [128261]),
    "unitts": ([152064], [184833, 151645, 151643]),
    "cosyvoice3": ([151924], [158486, 158485, 158487, 158488, *range(158489, 158685)]),
    "glm-tts": ([59262], [59253]),
}


def sizes_of(backbone):
    """(codes a frame, size) of every level."""
    layout = backbone.token_map().layout
    return [(layout.rate(level), next(s.size for s in layout.slots if s.level == level)) for level in range(layout.num_levels)]
