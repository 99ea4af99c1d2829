"""An answer of the tab "Speak" as HTML: base and aligned side by side, the best candidate first, all others below it."""

from html import escape

from markupsafe import Markup

from demo.clips import Clip, Clips
from demo.live import Answer, Take
from demo.players import drawn, hint, player, table, tiles, words
from lpo_tts import recipe as recipes


class View:
    """Draws one answer again and again as it grows; what was drawn stays as it is.

    Args:
        clips: where the page gets its sound.
    """

    def __init__(self, clips: Clips) -> None:
        self._clips = clips
        self._known: dict[tuple[str, int], Clip] = {}
        self._pictures: dict[tuple[str, int], Markup] = {}

    def html(self, answer: Answer) -> str:
        """The whole answer."""
        self._draw(answer)
        columns = "".join(self._system(answer, system) for system in answer.asked.systems)
        return f'<div class="sides">{columns}</div>'

    def _draw(self, answer: Answer) -> None:
        keys = [(take.system, take.seed) for take in answer.takes]
        if set(keys) != set(self._pictures):  # they share axes, so that a new clip changes all
            waves = [(take.candidate.audio, take.candidate.sample_rate) for take in answer.takes]
            self._pictures = dict(zip(keys, drawn(waves, [_name(take) for take in answer.takes]), strict=True))

    def _system(self, answer: Answer, system: str) -> str:
        takes = answer.of(system)
        head = f'<h2><span class="dot {"base" if system == recipes.BASE else "aligned"}"></span>{escape(system)}</h2>'
        if not takes:
            body = '<div class="waiting" aria-hidden="true"></div>' if answer.stage else hint("Nothing was spoken.")
            return f'<section class="system" aria-label="{escape(system)}">{head}{body}</section>'
        several = answer.asked.count > 1
        best = self._take(answer, takes[0], "best" if several and answer.ranked else "")
        others = "".join(self._take(answer, take, "") for take in takes[1:])
        if others:
            order = ", best first" if answer.ranked else ""
            others = f'<h3 class="others">Other candidates{order}</h3>{others}'
        return f'<section class="system" aria-label="{escape(system)}">{head}{best}{others}</section>'

    def _take(self, answer: Answer, take: Take, rank: str) -> str:
        key, name = (take.system, take.seed), _name(take)
        badge = '<span class="badge">best of the candidates</span>' if rank else ""
        head = f'<p class="which">seed {take.seed} {badge}</p>' if answer.asked.count > 1 else ""
        faults = "".join(f'<span class="flag">{escape(fault)}</span> ' for fault in take.candidate.faults)
        if take.candidate.audio is None:
            sound = hint("Nothing in this candidate can be decoded; every word counts as not said.")
        else:
            sound = player(self._clip(take), name, f"{take.system}-seed{take.seed}", self._pictures.get(key, ""))
        main = [figure for figure in take.figures if figure.main]
        return (
            f'<article class="take {rank}" aria-label="{escape(name)}">{head}{sound}'
            f"{f'<p>{faults}</p>' if faults else ''}{words(main) or words(take.figures)}{tiles(main, pending=answer.pending)}"
            f"{table(take.figures, f'{take.system}-{take.seed}', name)}</article>"
        )

    def _clip(self, take: Take) -> Clip:
        key = take.system, take.seed
        if key not in self._known and take.candidate.audio is not None:
            self._known[key] = self._clips.add(take.candidate.audio, take.candidate.sample_rate)
        return self._known[key]


def status_html(answer: Answer) -> str:
    """How far the answer is, or how long it took, and in whose voice it is."""
    if answer.stage:
        share = f' value="{answer.share:.2f}"' if answer.share else ""
        return (
            f'<div class="status" role="status"><progress max="1"{share} aria-label="Progress"></progress> '
            f"{escape(answer.stage)}</div>"
        )
    count = len(answer.takes)
    line = f"{count} candidate{'s' if count != 1 else ''}: spoken in {answer.spoken:.2f} s, judged in {answer.judged:.2f} s."
    if answer.asked.voice is not None:
        line += f" Voice: {answer.asked.voice.label}."
    return f'<div class="status" role="status">{escape(line)}</div>'


def _name(take: Take) -> str:
    return f"{take.system}, seed {take.seed}"
