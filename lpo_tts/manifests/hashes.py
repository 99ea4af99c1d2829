"""Which of millions of texts came before, in 12 bytes a slot: a table of 64-bit hashes with a small number each."""

import hashlib
from array import array

FIRST = 1 << 10  # slots of an empty table
FULL = 0.7  # share of slots in use from which the table doubles


def fingerprint(text: str) -> int:
    """A 64-bit hash of a text, the same in every process; never 0.

    Two of 10^7 different texts share one with a probability of 3e-6 (n^2 / 2^65), which is less than that of a disk which
    returns other bytes than were written. So tables keep the hash alone, and a hash that comes twice is a text that does.
    """
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") or 1


class HashTable:
    """Hash -> whole number from 0 to 2^32 - 1; open addressing in two flat arrays.

    A dictionary of 10^7 texts takes 1.5 GB, this table 0.2 GB.
    """

    def __init__(self) -> None:
        self._keys, self._values = array("Q", bytes(8 * FIRST)), array("I", bytes(4 * FIRST))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: int) -> bool:
        return self._keys[self._slot(key)] == key

    def get(self, key: int) -> int | None:
        """The number of a hash; None for one that never came."""
        slot = self._slot(key)
        return self._values[slot] if self._keys[slot] == key else None

    def put(self, key: int, value: int) -> None:
        """Keeps a number, in the place of an earlier one."""
        slot = self._slot(key)
        if self._keys[slot] != key:
            if self._count >= FULL * len(self._keys):
                self._double()
                slot = self._slot(key)
            self._keys[slot] = key
            self._count += 1
        self._values[slot] = value

    def _slot(self, key: int) -> int:
        """Where a key stands, or would stand."""
        keys = self._keys
        last = len(keys) - 1
        slot = key & last
        while (found := keys[slot]) and found != key:
            slot = (slot + 1) & last
        return slot

    def _double(self) -> None:
        keys, values = self._keys, self._values
        self._keys, self._values = array("Q", bytes(16 * len(keys))), array("I", bytes(8 * len(keys)))
        for key, value in zip(keys, values, strict=True):
            if key:
                slot = self._slot(key)
                self._keys[slot], self._values[slot] = key, value
