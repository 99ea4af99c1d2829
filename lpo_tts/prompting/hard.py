"""Hard prompts, made on purpose: from the corpus' own texts by rules, and from a table of sentences with places to fill in."""

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import yaml

from lpo_tts.bounds import above, at_least, check_settings
from lpo_tts.config import check_name
from lpo_tts.errors import ArtefactError, ConfigError, os_errors
from lpo_tts.prompting.slots import check_sentence, fill
from lpo_tts.records import Prompt, Split, Utterance
from lpo_tts.text import normalise

OWN_WORDS = ("repetition", "short", "long")  # kinds that take every word from the corpus
TABLE = Path(__file__).with_name("hard_sentences.yaml")
TRIES = 20  # texts of a kind that came before are passed over so often in a row; then one comes again, with another voice
UNSPACED = ("zh", "ja", "th")  # languages written without spaces between words
_PUNCTUATION = ".,!?;:…\"'“”‘’()[]，。！？；：、"
_PIECES = re.compile(f"[{re.escape(_PUNCTUATION)}\\s]+")

Sentences = Mapping[str, Mapping[str, tuple[str, ...]]]  # kind -> language -> sentences
Found = tuple[str, str, frozenset[str]]  # language, text, and what is spoken of the texts it is made of


@dataclass(frozen=True)
class HardSettings:
    """Prompts that are hard to speak, beside those of the corpus; each is tagged `hard: <kind>`, and none has a recording.

    Attributes:
        share: share of a split's prompts that are hard ones.
        kinds: which, in equal numbers; None: all that there are in the corpus' languages. `repetition` (a word or the whole
            text again and again), `short` (one word) and `long` (several texts in one) take all words from the corpus;
            `numbers` (dates, money, times too), `abbreviations` (and spelled letters), `tongue_twister`, `code_switching` and
            `enumeration` are sentences of a table in English and Chinese. A file of your own may have others.
        sentences: a YAML file of your own, `kind: {language: [sentence, ...]}`; its kinds stand beside those of the table, or
            in place of one of the same name. Words in braces are filled in, such as {integer}, {date} or {letters}.
        splits: of which splits. A sentence of the table is used in one of them alone.
        num_joined: how many texts of the corpus a `long` one is made of.
    """

    share: float
    kinds: tuple[str, ...] | None = None
    sentences: Path | None = None
    splits: tuple[Split, ...] = ("train",)
    num_joined: int = 4

    bounds = {"share": above(0).below(1), "num_joined": at_least(2)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if self.kinds is not None and not self.kinds:
            raise ConfigError("kinds: expected at least one kind of hard prompts, found none; leave `kinds` out for all of them")

    def table(self) -> Sentences:
        """Sentences by kind and language.

        Raises:
            ConfigError: the file of sentences holds something else, or nothing has a kind of this name.
            ArtefactError: the file cannot be read.
        """
        found = dict(read_sentences(TABLE))
        if self.sentences is not None:
            found |= read_sentences(self.sentences)
        unknown = [kind for kind in self.kinds or () if kind not in found and kind not in OWN_WORDS]
        if unknown:
            raise ConfigError(f"prompts.hard.kinds: no kind named {unknown[0]!r} (there are: {', '.join((*OWN_WORDS, *found))})")
        return found


def read_sentences(path: Path) -> Sentences:
    """A table of sentences; raises ConfigError naming what is wrong with it, ArtefactError where it cannot be read."""
    try:
        with os_errors("read the sentences", path):
            tree = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"prompts.hard.sentences: {path} is no YAML file: {' '.join(str(error).split())}") from error
    where = f"prompts.hard.sentences: {path}"
    if not isinstance(tree, dict) or not tree:
        raise ConfigError(f"{where}: expected `kind: {{language: [sentence, ...]}}`, found {str(tree)[:60]!r}")
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for kind, languages in tree.items():
        check_name(where, str(kind))
        if kind in OWN_WORDS:
            raise ConfigError(f"{where}: the kind {kind!r} is made of the corpus' own words; give yours another name")
        for language, sentences in languages.items() if isinstance(languages, dict) else [("", languages)]:
            if (
                not language
                or not isinstance(sentences, list)
                or not all(isinstance(one, str) and one.strip() for one in sentences)
            ):
                raise ConfigError(f"{where}: {kind}: expected `language: [sentence, ...]`, found {str(languages)[:60]!r}")
            for sentence in sentences:
                check_sentence(sentence, _base(str(language)), f"{where}: {kind}.{language}")
            found.setdefault(str(kind), {})[_base(str(language))] = tuple(sentences)
    return found


def spoken(text: str) -> str:
    """A text as far as it is spoken: equal for two that differ in case, punctuation or spaces alone."""
    return normalise(text, "basic").replace(" ", "") or text.strip()


def hard_prompts(
    rows: Sequence[Utterance], voices: Sequence[Utterance] | None, settings: HardSettings, split: Split, seed: int
) -> Iterator[tuple[str, Prompt | str]]:
    """Hard prompts of one split without end, kind after kind: (id, prompt) or (id, why there is none).

    Args:
        rows: the split's utterances, of which texts are made.
        voices: recordings that may be imitated; None: prompts have no voice.
        settings: which kinds.
        split: of the prompts.
        seed: decides texts and voices.

    Raises:
        ArtefactError: there is nothing that a kind could be made of.
    """
    known = {row.language for row in (rows if voices is None else voices)}
    rows = [row for row in rows if row.language in known and spoken(row.text)]
    if not rows:
        raise ArtefactError(
            f"prompts.hard: split {split} has no texts and voices to make hard prompts of; see prompts.hard.splits"
        )
    table = settings.table()
    kinds = settings.kinds or tuple(
        kind for kind in (*OWN_WORDS, *table) if kind in OWN_WORDS or _dealt(table[kind], known, settings, split)
    )
    streams = {kind: _texts(kind, rows, table.get(kind, {}), known, settings, split, seed) for kind in kinds}
    by_language: dict[str, list[Utterance]] = defaultdict(list)
    for one in sorted(voices or (), key=lambda one: _key(seed, "voice", one.id)):
        by_language[one.language].append(one)
    for number in itertools.count():
        kind = kinds[number % len(kinds)]
        language, text, sources = next(streams[kind])
        name = f"hard-{kind}-{split}-{number // len(kinds):05d}"
        voice = None if voices is None else _voice(by_language[language], text, sources, seed, name)
        if voices is not None and voice is None:
            yield name, f"no recording in language {language} says another text than the prompt"
            continue
        yield name, Prompt(id=name, text=text, language=language, voice=voice, split=split, tags={"hard": kind})


def _voice(voices: Sequence[Utterance], text: str, sources: frozenset[str], seed: int, name: str) -> Utterance | None:
    """A recording of none of the texts that the prompt is made of."""
    start = _number(seed, "voice", name)
    for place in range(len(voices)):
        one = voices[(start + place) % len(voices)]
        if spoken(one.text) not in {*sources, spoken(text)}:
            return one
    return None


def _texts(
    kind: str,
    rows: Sequence[Utterance],
    sentences: Mapping[str, tuple[str, ...]],
    known: set[str],
    settings: HardSettings,
    split: Split,
    seed: int,
) -> Iterator[Found]:
    """Texts of one kind without end; those that came before are passed over as long as there are others."""
    if kind in OWN_WORDS:
        stream = _of_corpus(kind, rows, settings.num_joined, seed)
    else:
        dealt = _dealt(sentences, known, settings, split)
        if not dealt:
            raise ArtefactError(
                f"prompts.hard.kinds: there is no sentence of kind {kind!r} for split {split} in the corpus' languages "
                f"({', '.join(sorted(known))}); leave it out, or give sentences of your own by prompts.hard.sentences"
            )
        stream = _of_table(kind, dealt, seed)
    seen: set[str] = set()
    tries = 0
    for found in stream:
        tries += 1
        if found[1] in seen and tries < TRIES:
            continue
        seen.add(found[1])
        tries = 0
        yield found


def _dealt(
    sentences: Mapping[str, tuple[str, ...]], known: set[str], settings: HardSettings, split: Split
) -> list[tuple[str, str]]:
    """(language of the corpus, sentence) of those that are for this split: they are dealt out one by one, like cards."""
    place, many = settings.splits.index(split), len(settings.splits)
    return [(language, one) for language in sorted(known) for one in sentences.get(_base(language), ())[place::many]]


def _of_table(kind: str, sentences: Sequence[tuple[str, str]], seed: int) -> Iterator[Found]:
    ordered = sorted(sentences, key=lambda one: _key(seed, kind, f"{one[0]}/{one[1]}"))
    for number in itertools.count():
        language, sentence = ordered[number % len(ordered)]
        yield language, fill(sentence, _base(language), Random(_number(seed, kind, str(number)))), frozenset()


def _of_corpus(kind: str, rows: Sequence[Utterance], num_joined: int, seed: int) -> Iterator[Found]:
    ordered = sorted(rows, key=lambda row: _key(seed, kind, row.id))
    alike: dict[str, list[Utterance]] = defaultdict(list)
    for row in ordered:
        alike[row.language].append(row)
    for number in itertools.count():
        row, rng = ordered[number % len(ordered)], Random(_number(seed, kind, str(number)))
        unspaced = _base(row.language) in UNSPACED
        used = [row]
        if kind == "long":
            used += _others(row, alike[row.language], num_joined - 1, rng)
            text = ("" if unspaced else " ").join(one.text.strip() for one in used)
        elif unspaced:
            text = _unspaced(kind, row.text.strip(), rng)
        else:
            text = _repeated(row.text, rng) if kind == "repetition" else _word(row.text, rng)
        yield row.language, text, frozenset(spoken(one.text) for one in used)


def _others(row: Utterance, some: Sequence[Utterance], count: int, rng: Random) -> list[Utterance]:
    """So many other rows, drawn without putting any back; fewer where there are no more."""
    start, step = rng.randrange(len(some)), 1 + rng.randrange(max(1, len(some) // (count + 1)))
    found = {id(row): row}
    for place in itertools.chain(range(start, start + step * count, step), range(start, start + len(some))):
        if len(found) > count:
            break
        one = some[place % len(some)]
        found.setdefault(id(one), one)
    return list(found.values())[1:]


def _words(text: str) -> list[str]:
    """Words of a text without the marks around them."""
    return [word for word in (one.strip(_PUNCTUATION) for one in text.split()) if any(map(str.isalnum, word))] or text.split()


def _word(text: str, rng: Random) -> str:
    words = _words(text)
    return words[rng.randrange(len(words))]


def _repeated(text: str, rng: Random) -> str:
    """A word of the text three to six times in its place; a text of two or three words may come twice or thrice as a whole."""
    words = text.split()
    if 1 < len(words) <= 3 and rng.randrange(2):
        return " ".join(words * (2 + rng.randrange(2)))
    place = rng.randrange(len(words))
    bare = words[place].rstrip(_PUNCTUATION) or words[place]
    many = [bare] * (2 + rng.randrange(4))
    return " ".join([*words[:place], *many, bare + words[place][len(bare) :], *words[place + 1 :]])


def _unspaced(kind: str, text: str, rng: Random) -> str:
    """Of a language without spaces: the shortest piece between marks, or the whole text twice or thrice."""
    if kind == "short":
        return min((piece for piece in _PIECES.split(text) if piece), key=len, default=text)
    return text * (2 + rng.randrange(2))


def _base(language: str) -> str:
    """`en` of `en-GB`."""
    return re.split("[-_]", language)[0].lower()


def _key(seed: int, kind: str, name: str) -> str:
    return hashlib.sha256(f"hard:{seed}:{kind}:{name}".encode()).hexdigest()


def _number(seed: int, kind: str, name: str) -> int:
    return int(_key(seed, f"{kind}/", name)[:15], 16)
