"""push: the aligned model with its card and recipe to the Hugging Face Hub, or into a folder."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lpo_tts import artefacts, hf
from lpo_tts.errors import ArtefactError, ComponentError, ConfigError
from lpo_tts.exchange.folders import new_folder, refuse_full
from lpo_tts.exchange.licences import Licence, licence_of
from lpo_tts.exchange.model_card import Aligned, model_card
from lpo_tts.exchange.publishing import copy_model, leaks, scrubbed
from lpo_tts.losses import REGISTRY as LOSSES
from lpo_tts.steps.published import changed, languages, local_folder, ranking, speak
from lpo_tts.steps.run import Plan, Run
from lpo_tts.steps.tables import chosen_system

if TYPE_CHECKING:
    from lpo_tts.recipe import System

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LONGEST = 96  # characters of a repository's name on the Hub


def plans(run: Run) -> list[Plan]:
    """Nothing is made in the run folder."""
    return []


@dataclass(frozen=True)
class Options:
    """What is published, and with what consent.

    Attributes:
        merge: the whole model, though adapters were trained.
        licence: of the aligned model, in place of what follows from the recipe's `about`.
        without_figures: though there is no report.
        yes: though the base's licence forbids to share derivatives.
    """

    merge: bool = False
    licence: str | None = None
    without_figures: bool = False
    yes: bool = False


def execute(
    run: Run,
    *,
    to: str,
    system: str | None = None,
    merge: bool = False,
    private: bool = False,
    licence: str | None = None,
    without_figures: bool = False,
    yes: bool = False,
) -> None:
    """Publishes one aligned model; tells where it lies.

    Args:
        run: the run folder.
        to: `owner/name` on the Hub, or a new folder (see `local_folder`).
        system: whose model; None: the recipe's only one.
        merge: see `Options`.
        private: whether a repository that is made is private.
        licence: see `Options`.
        without_figures: see `Options`.
        yes: see `Options`.

    Raises:
        ArtefactError: there is no model or no report, or the report is of another model.
        ConfigError: the licence is not known, or forbids it; or `to` is no place.
        ComponentError: the Hub refuses.
    """
    chosen = chosen_system(run, system)
    given = Options(merge, licence, without_figures, yes)
    folder = local_folder(to)
    if folder is not None:
        refuse_full(folder)
        prepare(run, chosen, folder, folder.name, given)
        run.tell(f"model: {folder} (card: {folder / 'README.md'})")
        return
    if not REPOSITORY.fullmatch(to) or len(to) > LONGEST or "--" in to or ".." in to:
        raise ConfigError(f"--to: expected owner/name on the Hub or a folder such as ./{Path(to).name or 'model'}, found {to!r}")
    place = run.out / "push" / chosen.name
    shutil.rmtree(place, ignore_errors=True)  # of a call that was interrupted
    prepare(run, chosen, place, to, given, link=True)
    send(place, to, private)
    shutil.rmtree(place)
    run.tell(f"model: https://huggingface.co/{to}")


def prepare(run: Run, system: "System", folder: Path, name: str, options: Options, *, link: bool = False) -> None:
    """Writes everything that is published into a new folder: the model, README.md and recipe.yaml.

    Args:
        run: the run folder.
        system: whose model.
        folder: a new or empty one.
        name: under which it will be known: owner/name, or the folder's.
        options: see there.
        link: see `copy_model`.
    """
    licence = _licence(run, options)
    artefacts.digest_of(system.folder / "run")  # complete, and as it was written
    adapters = (system.folder / "run" / "adapter").is_dir() and not options.merge
    checkpoint = system.folder / "run" / ("adapter" if adapters else "final")
    report = _report(run, system, options)
    backbone = run.recipe.backbone
    base_id = backbone.model if hf.may_be_hub_id(backbone.model) else None
    base = base_id or Path(backbone.model).name
    plain = run.plain(run.recipe)
    recipe = scrubbed(plain, {})
    local = [key for key in changed(plain, recipe) if key != "out"]
    text = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=120)
    meta = artefacts.read_object(system.folder / "pairs.jsonl.meta.json") if (system.folder / "pairs.jsonl").exists() else {}
    card = model_card(
        Aligned(
            name=name.rpartition("/")[2],
            base=base,
            base_id=base_id,
            licence=licence,
            languages=languages(run),
            loss=LOSSES.name_of(type(system.train.loss)),
            adapters=adapters,
            recipe=text,
            report=report,
            system=system.name,
            pairs=meta.get("counts") or {},
            ranking=[] if meta.get("imported") else ranking(run, system),
            versions=artefacts.versions(),
            speak=speak(run, name, adapters, local),
            local=local,
        )
    )
    with new_folder(folder) as place:
        copy_model(checkpoint, place, {backbone.model: base}, link=link)
        artefacts.write_atomic(place / "recipe.yaml", text.encode())
        artefacts.write_atomic(place / "README.md", card.encode())
        found = list(leaks(place))
        if found:
            raise ArtefactError(f"push: a path of this machine stands in {found[0]}; take it out of the recipe, then push again")


def _licence(run: Run, options: Options) -> Licence:
    """That of the aligned model; raises ConfigError where it is not known, or forbids it."""
    about = run.recipe.about.licence
    base = licence_of(about)
    licence = base
    if options.licence is not None:
        licence = licence_of(options.licence)
        if licence is None:
            raise ConfigError(f"--licence: expected the name of a licence, such as apache-2.0, found {options.licence!r}")
    if licence is None:
        raise ConfigError(
            f"push: the licence of the base model is not known (about.licence: {about!r}); read it, and give --licence NAME, "
            "such as --licence apache-2.0"
        )
    for one in filter(None, (licence, base)):
        if one.no_derivatives and not options.yes:
            raise ConfigError(
                f"push: the licence {one.text!r} forbids to share derivatives, and an aligned model is one; with the leave of "
                "its owner, add --yes"
            )
        if one.non_commercial:
            run.tell(f"warning: the licence {one.text!r} forbids commercial use, and so does that of the aligned model")
            break
    return licence


def _report(run: Run, system: "System", options: Options) -> dict[str, Any] | None:
    """report.json of this very model; None where figures are not wanted."""
    if options.without_figures:
        return None
    path = run.out / run.recipe.evaluate.folder / "report.json"
    if not path.exists():
        raise ArtefactError(f"push: no report in {run.show(path)}; run `lpo-tts evaluate` first, or add --without-figures")
    artefacts.digest_of(path)
    spoken = run.synthesized_path(system.name)
    meta = artefacts.read_object(spoken.with_name(f"{spoken.name}.meta.json"))
    if meta.get("inputs", {}).get("model") != run.model_identity(str(system.checkpoint)):
        raise ArtefactError(
            f"push: {run.show(path)} judges another model than {run.show(system.checkpoint)}; run `lpo-tts run` again, or add "
            "--without-figures"
        )
    return artefacts.read_object(path)


def send(folder: Path, repository: str, private: bool) -> None:
    """Uploads a folder in one commit; files that the repository has already are not sent again.

    Raises:
        ComponentError: the Hub cannot be reached, or refuses: no token, no rights, no such owner.
    """
    from huggingface_hub import HfApi
    from huggingface_hub import errors as hub

    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Aligned by lpo-tts")
    except (hub.HTTPError, OSError, ValueError) as error:
        raise ComponentError(
            f"push: {repository}: expected the Hub to take the model, found: {hf.first_line(error)}; log in by `hf auth login`, "
            "check the name, then push again: what has arrived is not sent twice"
        ) from error
