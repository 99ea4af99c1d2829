"""The real-time factor: worked-out seconds of parts, and those of a run."""

import pytest

from lpo_tts import recipe
from lpo_tts.artefacts import Artefact, Provenance, read_object
from lpo_tts.steps.real_time import real_time, real_time_factor


def speak(run, parts, system="base"):
    """A folder whose parts were timed so: per part (seconds, first) of the model and of the codec, and seconds of audio."""
    folder = run.synthesized_path(system)
    folder.mkdir(parents=True)
    artefact = Artefact(folder, Provenance("synthesize", {}, {}))
    artefact.begin()
    for number, (model, codec, audio) in enumerate(parts):
        file = folder / f"part-{number}.jsonl"
        file.write_text(str(number))
        timing = None if model is None else {"seconds": model[0], "first": model[1]}
        artefact.add(file.stem, 1, [file], timing=timing)
        timing = None if codec is None else {"seconds": codec[0], "first": codec[1], "audio": audio}
        artefact.add(f"wavs of {file.stem}", 1, [file], timing=timing)
    artefact.finish()


def factors(run, system="base"):
    """Of the model and of the codec."""
    found = real_time(run, system)
    assert found is not None
    return [found.model, found.codec]


@pytest.fixture
def run(tiny, tmp_path):
    return recipe.load(str(tiny / "recipe.yaml"), [f"out={tmp_path}"]).run()


def test_the_first_part_of_a_worker_is_left_out_where_there_are_others(run):
    # Two workers sampled, one decoded: parts 0 and 1 are the samplers' first ones, part 0 the decoder's.
    speak(run, [((9.0, 1), (5.0, 1), 10.0), ((8.0, 1), (1.0, 0), 10.0), ((2.0, 0), (1.5, 0), 10.0), ((3.0, 0), (0.5, 0), 5.0)])
    assert factors(run) == pytest.approx([5.0 / 15.0, 3.0 / 25.0])
    assert real_time_factor(run, "base") == pytest.approx(1 / 3 + 0.12)


def test_where_all_parts_were_first_they_count(run):
    speak(run, [((2.0, 1), (1.0, 1), 4.0), ((4.0, 1), (1.0, 1), 4.0)])
    assert factors(run, "base") == pytest.approx([0.75, 0.25])


def test_time_for_what_cannot_be_decoded_counts_and_is_no_audio(run):
    speak(run, [((1.0, 1), (1.0, 1), 2.0), ((2.0, 0), (0.5, 0), 4.0), ((6.0, 0), (0.5, 0), 0.0)])
    assert factors(run, "base") == pytest.approx([8.0 / 4.0, 1.0 / 4.0])


def test_what_nobody_timed_has_none(run):
    assert real_time_factor(run, "base") is None  # nothing is there
    speak(run, [(None, None, 1.0)])  # as before there were timings
    assert real_time_factor(run, "base") is None
    speak(run, [((1.0, 1), (1.0, 1), 2.0), (None, None, 2.0)], "aligned")  # begun before, finished after
    assert factors(run, "aligned") == pytest.approx([0.5, 0.5])
    speak(run, [((1.0, 1), (1.0, 1), 0.0)], "silent")
    assert real_time_factor(run, "silent") is None


@pytest.mark.slow
def test_a_run_times_its_systems(finished, tiny):
    one = recipe.load(str(tiny / "recipe.yaml"), [f"out={finished}"]).run()
    for system in ("base", "aligned"):
        found = real_time(one, system)
        assert found is not None
        assert 0 < found.codec < 1000
        assert 0 < found.model < 1000
        parts = read_object(finished / "synthesized" / f"{system}.meta.json")["parts"]
        seconds = sum(part["timing"].get("audio", 0.0) for part in parts.values())
        assert seconds > 0
    # Candidates of sample are timed too; what other steps make is not.
    assert all("timing" in part for part in read_object(finished / "candidates.meta.json")["parts"].values())
    assert all("timing" not in part for part in read_object(finished / "pairs.jsonl.meta.json")["parts"].values())
