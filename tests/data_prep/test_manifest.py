"""What all corpus programs are made of: here how they look through a folder."""

from data_prep import manifest
from data_prep.manifest import Dropped


def test_walk_gives_paths_in_their_order_and_says_what_it_did_not_enter(tmp_path):
    for name in ("b/2.wav", "b/1.wav", "a.txt", "a/x/1.wav", "a/1.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "c").symlink_to("b")
    (tmp_path / "ring").symlink_to("ring")
    found = list(manifest.walk(tmp_path))
    paths = [one for one in found if not isinstance(one, Dropped)]
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        *("a", "a/1.wav", "a/x", "a/x/1.wav", "a.txt", "b", "b/1.wav", "b/2.wav", "ring")
    ]
    assert paths == sorted(paths)
    (link,) = (one for one in found if isinstance(one, Dropped))
    assert (link.id, link.fault, link.filter) == ("c", False, "link")
