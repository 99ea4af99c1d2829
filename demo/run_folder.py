"""A run folder opened for listening: its models, voices, preference pairs and held-out candidates."""

import dataclasses
import filecmp
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from demo.studio import CandidateAudio, PairView, Side, Verdict, Voice, shown_name
from demo.votes import Trial
from lpo_tts import audio, files
from lpo_tts import recipe as recipes
from lpo_tts.bounds import at_least, check_value
from lpo_tts.codecs.base import LoadedCodec
from lpo_tts.errors import ArtefactError, ContractError
from lpo_tts.judging import Clip, Panel
from lpo_tts.metrics.base import needs_voice_copy, scale_of
from lpo_tts.records import Candidate, Judgement, PreferencePair, Prompt, Score, Utterance
from lpo_tts.speaking import decode
from lpo_tts.steps.candidates import read_part, wave_path
from lpo_tts.steps.evaluate import JudgeSettings
from lpo_tts.steps.judged_table import Heard
from lpo_tts.synthesis import Line, Synthesizer

MAX_VOCABULARY = 500  # ours: a longer list of words is no hint
MAX_TEXT = 1000  # ours: characters to speak at once
MAX_SEED = 2**32 - 1
SHORTEST, LONGEST = 0.8, 30.0  # seconds of a recording that is to serve as a voice


def open_run(folder: Path, recipe: str | None = None, device: str | None = None, *, trust: bool = False) -> "RunSession":
    """Opens a run folder by the resolved recipe in it.

    Args:
        folder: what `lpo-tts run` wrote.
        recipe: name of the recipe; default: the only one run into this folder, else the one named like the folder.
        device: overrides the recipe's.
        trust: import the parts that the recipe names as `module:Class`, and start the programs that it names; both run
            somebody's code.

    Raises:
        ArtefactError: no run lies there, or several recipes do and none was named.
        ConfigError: the recipe is none, or names a `module:Class` or a program and is not trusted.
    """
    names = {path.name.removeprefix("recipe.").removesuffix(".json"): path for path in sorted(folder.glob("recipe.*.json"))}
    if recipe is None:
        recipe = next(iter(names)) if len(names) == 1 else folder.resolve().name
    if recipe not in names:
        if not names:
            raise ArtefactError(
                f"{folder}: expected a run folder with recipe.<name>.json, found none; make it with `lpo-tts run RECIPE`"
            )
        raise ArtefactError(
            f"{folder}: expected the name of one of its recipes ({', '.join(names)}), found {recipe!r}; give --recipe"
        )
    found = recipes.structure(files.read_json(names[recipe]), str(names[recipe]), trusted=trust)
    # The folder may have been moved since: what was asked for counts, not what the recipe remembers.
    return RunSession(dataclasses.replace(found, out=folder, device=device or found.device))


class RunSession:
    """One run folder; models are loaded when first needed, and used by one listener at a time."""

    def __init__(self, recipe: recipes.Recipe) -> None:
        self.recipe = recipe
        self.run = recipe.run()
        aligned = [name for name in recipe.systems if recipe.checkpoint(name).is_dir()]
        self.systems: tuple[str, ...] = (recipes.BASE, *aligned)
        self._synthesizers: dict[str, Synthesizer] = {}
        self._trials: dict[str, list[Trial]] = {}
        self._tables: dict[Path, dict[str, Judgement]] = {}
        self._lock = threading.RLock()

    @cached_property
    def prompts(self) -> dict[str, Prompt]:
        """All prompts by id."""
        return {prompt.id: prompt for prompt in files.iterate_rows(self.run.prompts_path, Prompt)}

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Words of a word-level tokenizer of few words; empty for any other, which knows any text."""
        words = self.recipe.backbone.token_map().words()
        return words if len(words) <= MAX_VOCABULARY else ()

    @cached_property
    def examples(self) -> list[str]:
        """A few held-out texts of the run."""
        held_out = [prompt.text for prompt in self.prompts.values() if prompt.split != "train"]
        return (held_out or [prompt.text for prompt in self.prompts.values()])[:6]

    def voices(self) -> list[Voice]:
        """One recording per speaker, held-out prompts' first."""
        found: dict[str, Voice] = {}
        for prompt in sorted(self.prompts.values(), key=lambda one: one.split == "train"):
            if prompt.voice is not None and prompt.voice.speaker not in found:
                found[prompt.voice.speaker] = self._voice(prompt.voice)
        return list(found.values())

    def _voice(self, utterance: Utterance) -> Voice:
        tags = "".join(f" ({name}: {value})" for name, value in utterance.tags.items())
        return Voice(
            id=utterance.id,
            label=f"{utterance.speaker}{tags}",
            path=self.run.out / utterance.audio,
            text=utterance.text,
            language=utterance.language,
        )

    @cached_property
    def _base(self) -> Synthesizer:
        recipe = self.recipe
        return Synthesizer(recipe.backbone, recipe.codec, recipe.synthesize.sampling, device=self.run.device)

    @cached_property
    def codec(self) -> LoadedCodec:
        """The codec of the run, without any model."""
        return self.recipe.codec.load(self.run.device)

    def _synthesizer(self, system: str) -> Synthesizer:
        if system not in self._synthesizers:
            self._synthesizers[system] = (
                self._base if system == recipes.BASE else self._base.with_model(self.recipe.checkpoint(system))
            )
        return self._synthesizers[system]

    def synthesise(self, system: str, text: str, voice: Voice | None, temperature: float, seed: int) -> CandidateAudio:
        """One candidate; the same seed gives every system the same random numbers."""
        check_value("seed", seed, at_least(0).at_most(MAX_SEED))
        if len(text) > MAX_TEXT:
            raise ContractError(f"expected a text of at most {MAX_TEXT} characters, found {len(text)}; speak it in parts")
        line = Line(text, seed=seed) if voice is None else Line(text, voice.path, voice.text, seed)
        with self._lock:
            spoken = self._synthesizer(system).say_all([line], temperature=temperature)[0]
        return CandidateAudio(
            audio=spoken.audio if spoken.audio.numel() else None,
            sample_rate=spoken.sample_rate,
            finished=spoken.finished,
            status=spoken.status,
        )

    @cached_property
    def judge_settings(self) -> dict[str, JudgeSettings]:
        """The recipe's held-out judges by name, the first for each thing that is measured; none that needs the voice's copy."""
        found: dict[str, tuple[str, JudgeSettings]] = {}
        for name, judge in self.recipe.evaluate.judges.items():
            if judge.role == "judge" and not needs_voice_copy(judge.metric):
                found.setdefault(scale_of(judge.metric).title, (name, judge))
        return dict(found.values())

    @cached_property
    def _panel(self) -> Panel:
        return Panel({name: judge.metric for name, judge in self.judge_settings.items()}, device=self.run.device)

    def judge(self, candidate: CandidateAudio, text: str, voice: Voice | None) -> Verdict:
        """What the held-out judges say: hypothesis and WER, speaker similarity to the original recording of the voice."""
        if candidate.audio is None:
            return Verdict(notes=("nothing in this candidate could be decoded; it counts as all words deleted",))
        recording = None
        if voice is not None:
            recording = Utterance(
                id=voice.id, audio=str(voice.path.absolute()), text=voice.text, duration=0.0, speaker=voice.label
            )
        language = voice.language if voice is not None else "en"
        prompt = Prompt(id="demo", text=text, language=language, voice=recording)
        clip = Clip(id="demo", prompt=prompt, audio=candidate.audio, sample_rate=candidate.sample_rate)
        with self._lock:
            found = self._panel.judge([clip])
        judged = {self._panel.scales[name].short: (self._panel.scales[name], one[0]) for name, one in found.items()}
        notes = () if found else ("the recipe names no judge that took no part in the training (evaluate.judges)",)
        return Verdict(judged=judged, notes=notes)

    def pairs(self, system: str) -> list[PairView]:
        """Pairs a system learned from, in the order of the table; none where the run has not got so far."""
        path = self.recipe.folder(system) / "pairs.jsonl"
        if not path.exists():
            return []
        views = []
        for pair in files.iterate_rows(path, PreferencePair):
            prompt = self.prompts.get(pair.prompt_id)
            if prompt is None:
                raise ArtefactError(
                    f"{path}: pair {pair.id} names the prompt {pair.prompt_id}, which {self.run.prompts_path} does not hold"
                )
            voice = self._voice(prompt.voice) if prompt.voice is not None else None
            views.append(
                PairView(
                    id=pair.id,
                    text=prompt.text,
                    voice=voice,
                    chosen=pair.chosen,
                    rejected=pair.rejected,
                    margins=pair.margins,
                    split=pair.split,
                )
            )
        return views

    def sides(self, pair: PairView) -> tuple[Side, Side]:
        """Both candidates of a pair, decoded from the sampled tokens, with the scores that ranked them."""
        return self._side(pair.chosen), self._side(pair.rejected)

    def _side(self, candidate_id: str) -> Side:
        part = self._parts.get(candidate_id)
        if part is None:
            raise ArtefactError(f"{self.run.candidates_path}: holds no candidate {candidate_id}; run sample and pair again")
        with self._lock:
            one = next(one for one in read_part(part) if one.row.id == candidate_id)
            codec = self._base.codec
            candidate = CandidateAudio(
                audio=decode([one.codes], codec)[0],
                sample_rate=codec.sample_rate,
                finished=one.row.finished,
                status=one.row.status,
            )
        judged = {}
        for name, table in self._scores.items():
            if candidate_id in table:
                scale = scale_of(self.recipe.score.metrics[name])
                judged[shown_name(name, scale)] = scale, table[candidate_id]
        return Side(id=candidate_id, candidate=candidate, verdict=Verdict(judged=judged))

    @cached_property
    def _parts(self) -> dict[str, Path]:
        """Candidate id -> the part it lies in; recordings as candidates (rule ground_truth) too."""
        folders = (self.run.candidates_path, self.run.targets_path)
        parts = [part for folder in folders for part in sorted(folder.glob("part-*.jsonl"))]
        return {row.id: part for part in parts for row in files.iterate_rows(part, Candidate)}

    @cached_property
    def _scores(self) -> dict[str, dict[str, Judgement]]:
        found = {}
        for name in self.recipe.score.metrics:
            path = self.run.scores_path(name)
            if path.exists():
                found[name] = _judgements(path)
        return found

    def trials(self, aligned: str) -> list[Trial]:
        """Held-out prompts both systems spoke; candidates equal to the last bit cannot be told apart and are left out."""
        if aligned not in self._trials:
            self._trials[aligned] = [one for one in self._spoken(aligned) if not filecmp.cmp(*one.wavs.values(), shallow=False)]
        return self._trials[aligned]

    def _spoken(self, aligned: str) -> Iterator[Trial]:
        base = self.run.synthesized_path(recipes.BASE)
        for part in sorted(base.glob("part-*.jsonl")):
            for row in files.iterate_rows(part, Candidate):
                wavs = {system: wave_path(self.run.synthesized_path(system), row.id) for system in (recipes.BASE, aligned)}
                prompt = self.prompts.get(row.prompt_id)
                if prompt is None or not all(path.exists() for path in wavs.values()):
                    continue
                voice = self.run.out / prompt.voice.audio if prompt.voice is not None else None
                yield Trial(prompt_id=prompt.id, seed=row.index, text=prompt.text, wavs=wavs, voice=voice)

    def verdicts(self, trial: Trial) -> dict[str, Verdict]:
        """What the report's held-out judges said of a trial's candidates; empty verdicts before `evaluate` has run."""
        verdicts = {}
        for system in trial.wavs:
            judged = {}
            for name, judge in self.judge_settings.items():
                found = self._judged(name, system).get(f"{trial.prompt_id}#{trial.seed}")
                if found is not None:
                    scale = scale_of(judge.metric)
                    judged[scale.short] = scale, found
            verdicts[system] = Verdict(judged=judged)
        return verdicts

    def _judged(self, judge: str, system: str) -> dict[str, Judgement]:
        path = self.run.out / "judgements" / judge / f"{system}.jsonl"
        if path not in self._tables:
            self._tables[path] = _judgements(path, Heard) if path.exists() else {}
        return self._tables[path]


def _judgements(path: Path, kind: type[Score] = Score) -> dict[str, Judgement]:
    return {row.candidate_id: row.judgement for row in files.iterate_rows(path, kind)}


def read_trial(trial: Trial) -> dict[str, CandidateAudio]:
    """The wavs of a trial as candidates."""
    candidates = {}
    for system, path in trial.wavs.items():
        wave, sample_rate = audio.read(path)
        candidates[system] = CandidateAudio(audio=wave, sample_rate=sample_rate, finished=True)
    return candidates


def uploaded(path: str, text: str = "") -> Voice:
    """A recording somebody brings as a voice.

    Raises:
        ContractError: it is shorter than 0.8 s, longer than 30 s, or holds nothing to imitate.
        ArtefactError: it cannot be read.
    """
    seconds, fault = audio.measure(path)
    if not SHORTEST <= seconds <= LONGEST:
        raise ContractError(f"expected {SHORTEST} to {LONGEST:.0f} s of one voice, found {seconds:.1f} s; cut the recording")
    if fault is not None:
        raise ContractError(f"expected a recording of a voice, found {fault}; record it again or choose another one")
    return Voice(id=path, label="uploaded", path=Path(path), text=text)
