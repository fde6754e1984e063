# SPDX-License-Identifier: GPL-2.0-only
"""libFuzzer around a target that raises: the exception is what is read of it afterwards."""

import subprocess
import sys

import pytest

SCRIPT = """\
import sys
from pathlib import Path
from zsfuzz.engine import Engine, EngineOptions
from zsfuzz.errors import HarnessError

def fail(*_):
    raise HarnessError("no guest today")

one_input, mutate = {"input": (fail, None), "mutator": (lambda data: None, fail)}[sys.argv[2]]
Engine([1, 2, 3], 4).run(EngineOptions(Path(sys.argv[1]), seed=1, max_bytes=64), one_input, mutate)
"""


@pytest.mark.parametrize("where", ["input", "mutator"])
def test_an_exception_ends_the_worker_and_is_its_last_word(where, tmp_path):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    command = [sys.executable, "-c", SCRIPT, str(inputs), where]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("HarnessError: no guest today")
    assert [path.name for path in tmp_path.iterdir()] == ["inputs"]  # libFuzzer saved no "crash"
