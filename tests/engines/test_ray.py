"""Ray actors of this machine: the contract, order, errors of their class, workers that die, addresses nobody answers at."""

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from lpo_tts.engines import REGISTRY
from lpo_tts.engines.actors import Place
from lpo_tts.engines.ray import Ray, _check_answers
from lpo_tts.errors import ArtefactError, ComponentError, ConfigError, ContractError, os_errors
from lpo_tts.testing import check_engine

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow  # an actor starts in seconds


def square():
    return lambda block: (block * block, os.getpid(), torch.get_num_threads(), os.getcwd())


def failing(kind, at):
    def work(block):
        if block == at:
            raise kind(f"block {block} is bad")
        return block

    return work


def full_disk():
    def work(block):
        with os_errors("write", block) if block else contextlib.nullcontext(), Path("/dev/full").open("w") as file:
            file.write("something")

    return work


def dying_at(number):
    def work(block):
        if block == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    return work


def cannot_load():
    raise ComponentError("no such model")


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]


def gone(processes, seconds=20):
    end = time.monotonic() + seconds
    while any(map(is_alive, processes)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(is_alive, processes))


def test_the_engine_keeps_the_contract(local_ray):
    engine = REGISTRY.get("ray")(workers=2)
    check_engine(engine)
    assert not engine.in_process


def test_results_come_in_order_from_actors_that_end(local_ray, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = list(Ray(workers=2).map(square, range(40)))
    assert [value for value, *_ in found] == [n * n for n in range(40)]
    processes = {process for _, process, *_ in found}
    assert os.getpid() not in processes
    assert len(processes) <= 2
    assert {threads for _, _, threads, _ in found} == {1}
    assert {folder for *_, folder in found} == {str(tmp_path)}  # relative paths mean the same there
    assert gone(processes)


def test_closing_the_iterator_ends_the_actors(local_ray):
    results = Ray(workers=1).map(square, iter(range(10**9)))
    _, process, *_ = next(results)
    assert is_alive(process)
    results.close()
    assert gone([process])


def test_no_block_starts_no_actor():
    assert list(Ray(address="nobody:1").map(square, [])) == []


@pytest.mark.parametrize("kind", [ContractError, ValueError, EOFError])
def test_errors_keep_their_class_and_traceback_and_results_before_them_come(local_ray, kind):
    results = Ray(workers=2).map(functools.partial(failing, kind, 3), range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(kind, match="block 3 is bad") as caught:
        next(results)
    assert "in work\n" in str(caught.value.__cause__)


def test_errors_while_loading_are_those_of_the_worker_and_name_the_node(local_ray):
    with pytest.raises(ComponentError, match=rf"no such model \(on the node {socket.gethostname()}\)"):
        list(Ray(workers=1).map(cannot_load, range(5)))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(("block", "what"), [("/disk/part", "write /disk/part"), ("", "use a file")])
def test_a_full_disk_of_a_node_is_one_line_with_node_and_path(local_ray, block, what):
    with pytest.raises(ArtefactError) as caught:
        list(Ray(workers=1).map(full_disk, [block]))
    assert str(caught.value) == (
        f"cannot {what}: No space left on device; free space, then run again: nothing that was finished is lost "
        f"(on the node {socket.gethostname()})"
    )


def test_a_killed_actor_changes_nothing(local_ray, caplog):
    results = Ray(workers=2).map(square, range(300))
    found = [next(results)]
    os.kill(found[0][1], signal.SIGKILL)
    found += results
    assert [value for value, *_ in found] == [n * n for n in range(300)]
    assert f"a worker of Ray ({socket.gethostname()}, process {found[0][1]}) died" in caplog.text


def test_a_block_that_kills_its_workers_is_named(local_ray):
    results = Ray(workers=1, max_restarts=1).map(functools.partial(dying_at, 1), range(3))
    assert next(results) == 0
    with pytest.raises(ComponentError, match=r"died at block 1, as 1 did before it \(engine.max_restarts\)") as caught:
        next(results)
    assert "\n" not in str(caught.value)


def test_a_cluster_without_room_says_so(local_ray):
    with pytest.raises(ComponentError, match=r"no room for a worker of 99 CPU and 0 GPU: its nodes have 2 CPU and 0 GPU"):
        list(Ray(cpus=99).map(square, [1]))
    with pytest.raises(ComponentError, match=r"no worker was placed within 1 s .* 1 were asked for, 1 CPU and 1 GPU each"):
        list(Ray(workers=1, patience=1).map(square, [1], gpus=1))
    with pytest.raises(ComponentError, match=r"0.25 GPU each, and free are 2 CPU, 0 GPU of 2 CPU, 0 GPU"):
        list(Ray(workers=1, patience=1, gpus=0.25).map(square, [1], gpus=1))


def test_devices_of_actors(local_ray):
    assert Ray().worker_device("auto") == "cpu"
    assert Ray().worker_device("cuda:1") == "cuda"  # Ray shows an actor no other GPU
    assert Ray(address="nobody:1", gpus=0).worker_device("auto") == "cpu"
    with pytest.raises(ConfigError, match=r"device: cuda needs a GPU, and engine\.gpus is 0"):
        Ray(gpus=0).worker_device("cuda")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers must be at least 1"),
        ({"gpus": 1.5}, "gpus: expected a share of one GPU or a whole number of them, found 1.5"),
        ({"cpus": 0.0}, "cpus must be above 0"),
        ({"address": "head"}, "address: expected auto, host:port or ray://host:port, found 'head'"),
        ({"address": "ray://head:70000"}, "address: expected auto, host:port or ray://host:port, found 'ray://head:70000'"),
        ({"max_restarts": -1}, "max_restarts must be at least 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Ray(**settings)


ALONE = """
import sys
from lpo_tts.engines.ray import Ray
from lpo_tts.errors import exit_code
raise SystemExit(exit_code("prog", lambda: print(*Ray(workers=1, address=sys.argv[1]).map(lambda: str, range(3)))))
"""


def alone(address):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", ALONE, address], capture_output=True, text=True, timeout=100, env=environment)


def test_a_running_ray_is_used_by_its_address(local_ray):
    ended = alone(local_ray)
    assert (ended.returncode, ended.stdout) == (0, "0 1 2\n"), ended.stderr


def test_auto_does_not_wait_for_a_cluster_that_has_ended(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # before what Ray has noted of the last one on this machine
    with pytest.raises(ComponentError, match=r"no Ray answers at auto \(engine.address\): Connection refused"):
        _check_answers("auto")


def test_an_address_where_nobody_answers_is_one_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ended = alone(address)
    assert ended.returncode == 2
    assert ended.stderr == (
        f"prog: no Ray answers at {address} (engine.address): Connection refused; start one there with `ray start --head`, "
        "or mend the address\n"
    )


def test_an_address_where_something_else_answers_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"-ERR unknown command\r\n")

        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        ended = alone(address)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"prog: something else than Ray answers at {address} (engine.address)")


INTERRUPTED = """
import os, time
from lpo_tts.engines.ray import Ray
def make():
    def work(block):
        if block:
            time.sleep(600)
        return os.getpid()
    return work
for result in Ray(workers=1).map(make, range(4)):
    print(result, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_program_leaves_no_actors(number, local_ray):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    program = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    worker = int(program.stdout.readline())
    if number == signal.SIGINT:
        os.killpg(program.pid, number)  # as a terminal does, which reaches Ray's own processes too
    else:
        os.kill(program.pid, number)
    _, errors = program.communicate(timeout=100)
    assert program.returncode != 0
    assert gone([worker], 60)
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in errors


TWO_NODES = """
import logging, sys
from ray.cluster_utils import Cluster
from lpo_tts.engines.ray import Ray

logging.basicConfig(stream=sys.stderr, format="%(message)s")
store = 80 * 2**20
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": store, "include_dashboard": False})
second = cluster.add_node(num_cpus=1, object_store_memory=store)

def make():
    import time, ray
    node = ray.get_runtime_context().get_node_id()
    def work(block):
        time.sleep(0.02)
        return block, node
    return work

results = Ray(address=cluster.address).map(make, range(200))  # as many actors as there is room for
found = [next(results)]
while len({node for _, node in found}) < 2:
    found.append(next(results))
cluster.remove_node(second, allow_graceful=False)
found += results
assert [block for block, _ in found] == list(range(200)), found
sys.stderr.write("both nodes worked\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Ray's cluster of several nodes on one machine")
def test_a_node_that_dies_changes_nothing(local_ray):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, "-c", TWO_NODES], capture_output=True, text=True, timeout=200, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert "both nodes worked" in ended.stderr
    assert "another one takes its place" in ended.stderr


def test_a_node_without_the_folder_says_what_is_to_be_shared(tmp_path):
    with pytest.raises(ArtefactError, match=r"cannot enter .*: No such file or directory; start the command in a folder"):
        Place(folder=str(tmp_path / "gone")).enter()
