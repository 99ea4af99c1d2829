"""Tiny models that write several codebooks at once, and the log-probs of their answers worked out step by step.

Both models have 3 codebooks of 16 codes. A step of text holds `first_text + id` in its first stream and 0 in the others,
which no code reaches; every other step holds one token per codebook.
"""

import torch

WORDS = ("one", "two", "three", "four")
MARKS = ("<|text|>", "<|voice|>", "<|speech|>", "<|end|>", "<|audio|>", "<|delay|>")
BOOKS, CODES = 3, 16
BEGIN, END = 16, 17  # of the delayed grid; the depth model ends with a frame of code 0
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
DELAY_ROWS = 18  # per codebook: codes, begin, end
DEPTH_ROWS = 19  # codes and three ids that are none


def tokenizer():
    """Words 0 to 4 (unknown first), marks 5 to 10."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<unk>": 0} | {word: 1 + n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens([AddedToken(name, special=True) for name in MARKS])
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "rope_parameters": ROPE,
}


def delay_model(seed=0):
    """A tiny Higgs v2 with random weights."""
    from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration

    torch.manual_seed(seed)
    config = HiggsAudioV2Config(
        **SIZES,
        head_dim=8,
        vocab_size=11,
        num_codebooks=BOOKS,
        codebook_size=DELAY_ROWS,
        audio_stream_bos_id=BEGIN,
        audio_stream_eos_id=END,
        audio_token_id=9,
        audio_delay_token_id=10,
        audio_bos_token_id=7,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=8,
    )
    return _lively(HiggsAudioV2ForConditionalGeneration(config))


def depth_model(seed=0):
    """A tiny CSM with random weights."""
    from transformers import CsmConfig, CsmDepthDecoderConfig, CsmForConditionalGeneration, MimiConfig

    torch.manual_seed(seed)
    mimi = MimiConfig(
        hidden_size=8,
        num_filters=2,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=8,
        codebook_size=16,
        codebook_dim=4,
        vector_quantization_hidden_dimension=4,
        num_quantizers=4,
        upsample_groups=8,
    )
    depth = CsmDepthDecoderConfig(
        **SIZES | {"hidden_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": BOOKS + 1},
        num_codebooks=BOOKS,
        backbone_hidden_size=32,
        vocab_size=DEPTH_ROWS,
    )
    config = CsmConfig(
        **SIZES,
        num_codebooks=BOOKS,
        vocab_size=DEPTH_ROWS,
        text_vocab_size=11,
        pad_token_id=0,
        bos_token_id=None,
        codebook_pad_token_id=18,
        codebook_eos_token_id=0,
        audio_token_id=9,
        audio_eos_token_id=8,
        depth_decoder_config=depth,
        codec_config=mimi,
    )
    return _lively(CsmForConditionalGeneration(config))


TEMPLATE = "<|text|>{text}<|voice|>{voice}<|speech|>"


def write(model, folder):
    """Saves a model and the tokenizer; returns the folder's name."""
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


def backbone(name, folder, **settings):
    """`delay` or `depth` with a tiny model written into a folder."""
    from lpo_tts.backbones import REGISTRY

    model = {"delay": delay_model, "depth": depth_model}[name]()
    return REGISTRY.get(name)(**{"model": write(model, folder), "template": TEMPLATE, **settings})


def by_hand(lm):
    """What scores a model's answers step by step."""
    return {"DelayLM": delay_logps, "DepthLM": depth_logps}[type(lm).__name__]


def _lively(model):
    """Norms that are not 1, so that a norm left out is noticed."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name and "codec" not in name:
                weight.uniform_(0.5, 1.5)
    return model.eval()


def answer_of(frames):
    """Frames as Codes."""
    from lpo_tts.codes import Codes

    return Codes(tuple(frames.T.clone()))


def frames_of(count, seed=0):
    """(count, 3) random codes, none of them a frame of zeros."""
    frames = torch.randint(0, CODES, (count, BOOKS), generator=torch.Generator().manual_seed(seed))
    frames[(frames == 0).all(1), 0] = 1
    return frames


def prompt_of(first_text, words=(1, 2), voice=None):
    """A prompt: text, a voice's frames or grid where given, and the mark before speech; (steps, 3)."""
    ids = [5, *words, 6]
    parts = [_text(ids, first_text)]
    if voice is not None:
        parts.append(voice)
    return torch.cat([*parts, _text([7], first_text)])


def _text(ids, first_text):
    steps = torch.zeros(len(ids), BOOKS, dtype=torch.int64)
    steps[:, 0] = first_text + torch.tensor(ids)
    return steps


def delay_logps(model, prompt, answer):
    """(steps, 3) float64: the log-prob of every cell of an answer, 0 where the pattern leaves no choice."""
    found = torch.zeros(len(answer), BOOKS, dtype=torch.float64)
    written = [*prompt.tolist()]
    ended = None  # the step at which codebook 0 ended
    for step, frame in enumerate(answer.tolist()):
        ids = [[row[0] - DELAY_ROWS if row[0] >= DELAY_ROWS else 9 for row in written]]
        audio = [row for row in written if row[0] < DELAY_ROWS]
        logits = model(input_ids=torch.tensor(ids), audio_input_ids=torch.tensor([audio])).logits[0, -1]
        for book in range(BOOKS):
            if book > step or (ended is not None and step >= ended + max(book, 1)):
                continue  # before this codebook begins, or behind its end
            scores = logits[book * DELAY_ROWS : (book + 1) * DELAY_ROWS].double()
            found[step, book] = scores[frame[book]] - scores.logsumexp(0)
        if ended is None and frame[0] == END:
            ended = step
        written.append(frame)
    return found


def depth_logps(model, prompt, answer):
    """(steps, 3) float64: the log-prob of every code of an answer."""
    found = torch.zeros(len(answer), BOOKS, dtype=torch.float64)
    table = model.backbone_model.embed_tokens.embed_audio_tokens.weight
    written = []
    for row in prompt.tolist():
        written.append(_embedded(model, table, row))
    for step, frame in enumerate(answer.tolist()):
        body = model.backbone_model(inputs_embeds=torch.stack(written)[None]).last_hidden_state[0, -1]
        scores = model.lm_head(body).double()
        found[step, 0] = scores[frame[0]] - scores.logsumexp(0)
        for book in range(1, BOOKS):
            before = torch.tensor([[0, *frame[:book]]])
            scores = model.depth_decoder(input_ids=before, backbone_last_hidden_state=body[None]).logits[0, -1].double()
            found[step, book] = scores[frame[book]] - scores.logsumexp(0)
        written.append(_embedded(model, table, frame))
    return found


def _embedded(model, table, row):
    if row[0] >= DEPTH_ROWS:
        return model.embed_text_tokens.weight[row[0] - DEPTH_ROWS]
    return sum(table[book * DEPTH_ROWS + code] for book, code in enumerate(row))


def delay_loss(model, prompt, answer, drawn, **options):
    """The model's own loss on the cells that were drawn."""
    rows = torch.cat([prompt, answer])
    spoken = rows[:, 0] < DELAY_ROWS
    labels = torch.cat([torch.full_like(prompt, -100), torch.where(drawn, answer, -100)])
    return model(
        input_ids=torch.where(spoken, 9, rows[:, 0] - DELAY_ROWS)[None],
        audio_input_ids=rows[spoken][None],
        audio_input_ids_mask=torch.ones(1, int(spoken.sum()), dtype=torch.bool),
        audio_labels=labels[spoken][None],
        **options,
    ).loss


def depth_loss(model, prompt, answer, **options):
    """What the model computes with its labels: `backbone_loss`, `depth_decoder_loss` and `loss`."""
    rows = torch.cat([prompt, answer])
    spoken = rows[:, 0] < DEPTH_ROWS
    embedded = torch.zeros(1, len(rows), SIZES["hidden_size"])
    embedded[:, ~spoken] = model.embed_text_tokens(rows[~spoken, 0] - DEPTH_ROWS)
    embedded[:, spoken] = model.backbone_model.embed_tokens(rows[spoken][None])
    labels = torch.cat([torch.full_like(prompt, -100), answer])[None]
    return model(inputs_embeds=embedded, labels=labels, **options)


def codec(folder):
    """Writes an EnCodec with 3 codebooks of 16 codes; returns what a recipe says of it."""
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(5)
    # At 75 frames a second and 4 bits a codebook costs 0.3 kbit/s.
    sizes = {"num_filters": 4, "hidden_size": 16, "num_lstm_layers": 1, "codebook_size": CODES, "codebook_dim": 16}
    model = EncodecModel(EncodecConfig(**sizes, target_bandwidths=[0.9]))
    with torch.no_grad():  # new codebooks are all zeros: spread them over what the encoder gives, so that codes differ
        latents = model.encoder(0.1 * torch.randn(1, 1, 24000))[0]
        for level, layer in enumerate(model.quantizer.layers):
            layer.codebook.embed.normal_().mul_(latents.std(-1) / 2**level).add_(latents.mean(-1) if level == 0 else 0)
    model.save_pretrained(folder)
    return {"name": "encodec", "model": str(folder), "bandwidth": 0.9}


def teach_to_end(lm, token_map, steps=40):
    """Teaches a model one thing only: to end an answer after some ten random frames."""
    from lpo_tts.training.batch import collate
    from lpo_tts.training.examples import AnswerExample

    lm.take_packs()
    generator = torch.Generator().manual_seed(1)
    optimiser = torch.optim.AdamW((weight for weight in lm.module.parameters() if weight.requires_grad), lr=1e-2)
    for step in range(steps):
        examples = []
        for number, word in enumerate((*WORDS, *WORDS)):
            frames = 1 + int(torch.empty(1).exponential_(0.1, generator=generator))
            answer = token_map.answer(answer_of(frames_of(min(frames, 40), 100 * step + number)))
            examples.append(AnswerExample(str(number), token_map.prompt(word).tokens, answer, True))
        optimiser.zero_grad()
        (-lm.logps(collate(examples, counted=lm.counted)).mean.mean()).backward()
        optimiser.step()
    lm.set_attention("sdpa")
