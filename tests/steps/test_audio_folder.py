"""Where the speech of a list lies in a folder: one file for each id, or one for each seed, in one layout."""

import pytest

from lpo_tts.errors import ArtefactError
from lpo_tts.records import Prompt
from lpo_tts.steps.audio_folder import AudioFolder


def pieces(folder, *ids):
    """(id, seed, path below the folder, whether it is there) of each piece."""
    found = AudioFolder(folder, "--system").pieces([Prompt(id=name, text="x") for name in ids])
    return [(one.prompt.id, one.seed, one.path.relative_to(folder.resolve()).as_posix(), one.path.exists()) for one in found]


def make(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ("a#0.wav", "a#1.wav", "b#0.wav", "b#1.wav"),
        ("a~0.wav", "a~1.wav", "b~0.wav", "b~1.wav"),
        ("a_seed0.wav", "a_seed1.wav", "b_seed0.wav", "b_seed1.wav"),
        ("seed0/a.wav", "seed0/b.wav", "seed1/a.wav", "seed1/b.wav"),
    ],
)
def test_seeds_are_found_in_every_layout(tmp_path, names):
    found = pieces(make(tmp_path / "w", *names), "a", "b")
    assert [(name, seed) for name, seed, _, _ in found] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert sorted(path for _, _, path, _ in found) == sorted(names)


def test_a_seed_that_one_prompt_lacks_is_missing(tmp_path):
    found = pieces(make(tmp_path / "w", "a_seed3.wav", "a_seed7.wav", "b_seed3.wav"), "a", "b")
    assert found[-1] == ("b", 7, "b_seed7.wav", False)
    found = pieces(make(tmp_path / "v", "seed1/x/a.wav", "seed2/b.wav"), "x/a", "b")
    assert [(name, seed, path) for name, seed, path, there in found if not there] == [
        ("x/a", 2, "seed2/x/a.wav"),
        ("b", 1, "seed1/b.wav"),
    ]


def test_one_file_for_each_id_is_seed_0(tmp_path):
    assert pieces(make(tmp_path / "w", "a.wav", "c.flac"), "a", "b") == [("a", 0, "a.wav", True), ("b", 0, "b.wav", False)]


@pytest.mark.parametrize("more", ["b#0.wav", "b~0.wav", "b_seed0.wav", "seed0/b.wav"])
def test_layouts_are_not_mixed(tmp_path, more):
    with pytest.raises(ArtefactError, match="expected the audio of all utterances in one layout, found several: ID") as error:
        pieces(make(tmp_path / "w", "a.wav", more), "a", "b")
    assert more in str(error.value)


def test_a_file_that_an_id_of_the_list_names_is_no_seed_of_another(tmp_path):
    found = pieces(make(tmp_path / "w", "a.wav", "a_seed1.wav", "a#2.wav"), "a", "a_seed1", "a#2")
    assert [(name, seed, there) for name, seed, _, there in found] == [("a", 0, True), ("a_seed1", 0, True), ("a#2", 0, True)]


def test_a_seed_with_two_files_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="seed 1 stands twice"):
        pieces(make(tmp_path / "w", "a_seed1.wav", "a_seed01.wav"), "a")
    with pytest.raises(ArtefactError, match="seed 1 stands twice"):
        pieces(make(tmp_path / "v", "seed1/a.wav", "seed01/a.wav"), "a")


def test_suffixes_are_found_in_any_case_and_what_is_no_file_is_missing(tmp_path):
    folder = make(tmp_path / "w", "a.WAV", "c.Flac", "d.wav", "d.flac")
    (folder / "b.wav").mkdir()
    (folder / "c.wav").symlink_to("c.wav")
    found = pieces(folder, "a", "b", "c", "d")
    assert [(path, there) for _, _, path, there in found] == [
        ("a.WAV", True),
        ("b.wav", True),  # a folder lies where the audio should
        ("c.Flac", True),
        ("d.wav", True),
    ]
    assert AudioFolder(folder, "--system").find("b") is None


def test_no_id_leads_out_of_the_folder(tmp_path):
    make(tmp_path, "secret.wav")
    folder = AudioFolder(make(tmp_path / "w", "a.wav"), "--system")
    assert folder.find("../secret") is None
    assert folder.find_marked("../secret", "#") == {}
    assert folder.find(str(tmp_path / "secret")) is None
