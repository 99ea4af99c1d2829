"""Changes to a Parquet file that break it in one way; run as a module, it makes all of them, since pyarrow has threads.

python -m benchmarks.fault_trials.parquet_files GOOD.parquet FOLDER     FOLDER/<number>.parquet for every change that fits
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Change = Callable[[Path, Path], None]  # from a good file to a bad one


def _bytes(how: Callable[[bytes], bytes]) -> Change:
    return lambda good, bad: bad.write_bytes(how(good.read_bytes())) and None


def _flipped(data: bytes) -> bytes:
    """Other bytes in the middle of the data, not in the footer, which says where everything lies."""
    size = int.from_bytes(data[-8:-4], "little") + 8
    middle = (len(data) - size) // 2
    return data[:middle] + bytes(byte ^ 0xFF for byte in data[middle : middle + 64]) + data[middle + 64 :]


def _table(how: Callable[[Any], Any]) -> Change:
    def change(good: Path, bad: Path) -> None:
        import pyarrow.parquet as pq

        pq.write_table(how(pq.read_table(good)), bad)

    return change


def without(name: str) -> Change:
    """A column less."""
    return _table(lambda table: table.drop_columns([name]))


def named(old: str, new: str) -> Change:
    """A column of another name."""
    return _table(lambda table: table.rename_columns([new if name == old else name for name in table.column_names]))


def cast(name: str, kind: str) -> Change:
    """A column of another type, with values of it: `string`, `double`, `int64`, `bool`, `binary`, `list`, `struct`."""

    def how(table: Any) -> Any:
        import pyarrow as pa

        some = {
            "string": ("7", pa.string()),
            "double": (0.5, pa.float64()),
            "int64": (7, pa.int64()),
            "bool": (True, pa.bool_()),
            "binary": (b"\xff\xfe", pa.binary()),
            "list": (["7"], pa.list_(pa.string())),
            "numbers": ([0.5], pa.list_(pa.float64())),
            "struct": ({"x": "7"}, pa.struct([("x", pa.string())])),
        }
        value, arrow = some[kind]
        place = table.column_names.index(name)
        return table.set_column(place, pa.field(name, arrow), pa.array([value] * table.num_rows, arrow))

    return _table(how)


def last(name: str, value: Any) -> Change:
    """Another value in the last row: a value, or a function of the one that is there."""

    def how(table: Any) -> Any:
        import pyarrow as pa

        place, field = table.column_names.index(name), table.schema.field(name)
        values = table.column(name).to_pylist()
        values[-1] = value(values[-1]) if callable(value) else value
        return table.set_column(place, field, pa.array(values, field.type))

    return _table(how)


def not_utf8(name: str) -> Change:
    """Text that is none, in the last row: Arrow does not look."""

    def how(table: Any) -> Any:
        import pyarrow as pa

        place = table.column_names.index(name)
        values = [one.encode() for one in table.column(name).to_pylist()]
        values[-1] = b"\xff\xfe"
        raw = pa.array(values, pa.binary())
        return table.set_column(place, name, pa.Array.from_buffers(pa.string(), len(values), raw.buffers()))

    return _table(how)


def twice(table: Any) -> Any:
    """The last row once more."""
    import pyarrow as pa

    return pa.concat_tables([table, table.slice(table.num_rows - 1)])


BROKEN: dict[str, Change] = {  # whatever the columns are
    "torn in the middle": _bytes(lambda data: data[: len(data) // 2]),
    "without its last bytes": _bytes(lambda data: data[:-6]),
    "of no bytes": _bytes(lambda data: b""),
    "of text": _bytes(lambda data: b"this is no table\n" * 50),
    "with the mark alone": _bytes(lambda data: b"PAR1PAR1"),
    "with a footer of 2^31 bytes": _bytes(lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1"),
    "with damaged rows": _bytes(_flipped),
    "without rows": _table(lambda table: table.slice(0, 0)),
    "without columns": _table(lambda table: table.select([])),
}
TWICE = _table(twice)
LESS = _table(lambda table: table.slice(0, table.num_rows - 1))
TURNED = _table(lambda table: table.take(list(range(table.num_rows))[::-1]))


def main(arguments: Sequence[str]) -> int:
    """Makes the files of one set of changes."""
    from benchmarks.fault_trials.bad_parquet import SETS, good_recordings

    name, good, folder = arguments[0], Path(arguments[1]), Path(arguments[2])
    folder.mkdir(parents=True, exist_ok=True)
    if not good.exists():
        good_recordings(good)
    for number, change in enumerate(SETS[name].values()):
        change(good, folder / f"{number}.parquet")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
