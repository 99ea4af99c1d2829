"""The table of hashes is a dictionary, only smaller."""

import random

from lpo_tts.manifests.hashes import HashTable, fingerprint


def test_it_does_what_a_dictionary_does():
    table, known, draw = HashTable(), {}, random.Random(0)
    for _ in range(6_000):
        key, value = draw.randrange(1, 1 << 64) if draw.random() < 0.5 else draw.randrange(1, 2000), draw.randrange(1 << 32)
        assert table.get(key) == known.get(key)
        assert (key in table) == (key in known)
        table.put(key, value)
        known[key] = value
    assert len(table) == len(known)
    assert all(table.get(key) == value for key, value in known.items())


def test_keys_that_fall_into_one_slot_are_kept_apart():
    table = HashTable()
    keys = [(k << 32) + 5 for k in range(1, 700)]
    for value, key in enumerate(keys):
        table.put(key, value)
    assert [table.get(key) for key in keys] == list(range(699))
    assert table.get(5) is None


def test_the_last_slots_go_over_to_the_first():
    table = HashTable()
    keys = [(k << 32) + 1023 for k in range(1, 9)]
    for value, key in enumerate(keys):
        table.put(key, value)
    assert [table.get(key) for key in keys] == list(range(8))


def test_a_fingerprint_is_that_of_every_process_and_of_every_text():
    assert fingerprint("utterance 1") == 0x7FDE5F6752305AD7
    assert len({fingerprint(f"{k}") for k in range(10_000)} | {fingerprint("\ud800"), fingerprint("")}) == 10_002
