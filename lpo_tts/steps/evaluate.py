"""evaluate: judges that took no part in the training judge every system;
numbers with intervals, and a page to read and hear.
"""

from lpo_tts import artefacts
from lpo_tts.comparison.wording import listed
from lpo_tts.steps.history import pair_summary, steps_done, training_rows
from lpo_tts.steps.judges import EvaluateSettings, JudgeSettings
from lpo_tts.steps.reporting import Frame, judge, plan_judgements, write
from lpo_tts.steps.run import BASE, Plan, Run
from lpo_tts.steps.sources import of_run

__all__ = ["EvaluateSettings", "JudgeSettings", "execute", "plans"]


def plans(run: Run) -> list[Plan]:
    """Every judge's table for every system, before anything is judged; the report is made from them in seconds."""
    return plan_judgements(run, (BASE, *run.recipe.systems))


def execute(run: Run) -> None:
    """Judges base and aligned systems and writes the report; tells the headline, where the report lies, how to listen."""
    systems = run.recipe.systems
    spoken = of_run(run, [BASE, *systems])
    scores = judge(run, spoken)
    more = {
        "split": run.recipe.synthesize.split,
        "steps": tuple(steps_done(run.out)),
        "training": {name: tuple(training_rows(one.folder / "run" / "metrics.jsonl")) for name, one in systems.items()},
        "pairs": {name: pair_summary(one.folder) for name, one in systems.items()},
    }
    title = f"lpo-tts: {listed(list(systems))} against {BASE}"
    write(run, spoken, scores, Frame(title, provenance={"recipe": run.plain(run.recipe)}, more=more))
    folder = run.out / run.recipe.evaluate.folder
    for line in artefacts.read_object(folder / "report.json")["headline"]:
        run.tell(line)
    run.tell(f"report: {folder / 'report.html'} (numbers: {folder / 'report.json'})")
    run.tell(f"listen: python demo/app.py --run {run.out}")
