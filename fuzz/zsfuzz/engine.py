# SPDX-License-Identifier: GPL-2.0-only
"""libFuzzer, steered by the kernel's coverage and by the model's state.

The guest writes its coverage counters into memory that libFuzzer was told to watch, so coverage
costs the host nothing.  libFuzzer comes with atheris, whose core library exports the two functions
that instrumented code calls at start-up.  It must be opened privately (RTLD_LOCAL) and told before
atheris.Setup(); no Python code is instrumented.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ParamSpec, TypeVar

from zsfuzz.errors import HarnessError
from zsfuzz.outcome import EXIT_HARNESS_ERROR

_P = ParamSpec("_P")
_R = TypeVar("_R")
_INIT_COUNTERS = "__sanitizer_cov_8bit_counters_init"
_INIT_PCS = "__sanitizer_cov_pcs_init"
_COMPARE = "__sanitizer_cov_trace_cmp8"
# Where made-up program counters of the model's situations begin; no kernel text is there.
_FEATURE_PCS = 0x7F0000000000


@dataclass(frozen=True)
class EngineOptions:
    """How libFuzzer is to run: where inputs lie and go, the seed, the longest input in bytes."""

    inputs: Path
    seed: int
    max_bytes: int


class Watched:
    """Memory of 8-bit counters that libFuzzer reads after, and clears before, each program."""

    def __init__(self, library: ctypes.CDLL, pcs: Sequence[int]) -> None:
        self.count = len(pcs)
        self._memory = mmap.mmap(-1, max(self.count, mmap.PAGESIZE))
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._pcs = (ctypes.c_uint64 * (2 * self.count))()
        self._pcs[0::2] = list(pcs)
        getattr(library, _INIT_COUNTERS)(
            ctypes.c_void_p(self.address), ctypes.c_void_p(self.address + self.count)
        )
        start = ctypes.addressof(self._pcs)
        getattr(library, _INIT_PCS)(
            ctypes.c_void_p(start), ctypes.c_void_p(start + ctypes.sizeof(self._pcs))
        )

    @property
    def bytes(self) -> memoryview:
        """View the counters."""
        return memoryview(self._memory)[: self.count]


class Engine:
    """Set up libFuzzer once per process, then hand over to it with `run`."""

    def __init__(self, kernel_pcs: Sequence[int], features: int) -> None:
        library = _open_library()
        self._compare = getattr(library, _COMPARE)
        self.coverage = Watched(library, kernel_pcs)
        self.features = Watched(library, [_FEATURE_PCS + 16 * i for i in range(features)])

    def feed_compares(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Let libFuzzer know pairs of values that the kernel compared."""
        for left, right in pairs:
            self._compare(ctypes.c_uint64(left), ctypes.c_uint64(right))

    def run(
        self,
        options: EngineOptions,
        one_input: Callable[[bytes], None],
        mutate: Callable[[bytes, int, int], bytes] | None,
    ) -> None:
        """Fuzz until `one_input` ends the process; what it raises does so too, as last words.

        Without `mutate`, libFuzzer's own mutations of bytes are used.
        """
        import atheris  # noqa: PLC0415 - only after its libraries were opened in order

        arguments = [
            "zsfuzz",
            f"-seed={options.seed}",
            f"-max_len={options.max_bytes}",
            "-len_control=0",
            "-timeout=600",
            "-rss_limit_mb=0",
            "-detect_leaks=0",
            "-print_funcs=0",
            "-reload=0",
            "-handle_int=0",
            "-handle_term=0",
            "-handle_xfsz=0",
            f"-artifact_prefix={options.inputs.parent}/",
            str(options.inputs),
        ]
        # Once its library is open, libFuzzer calls a custom mutator whether there is one or not.
        custom = mutate or (lambda data, max_size, _: atheris.Mutate(data, max_size))
        atheris.Setup(
            arguments, _ending(one_input), enable_python_coverage=False,
            custom_mutator=_ending(custom),
        )  # fmt: skip
        atheris.Fuzz()


def _ending(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let an exception end the process: libFuzzer would print the input below it, in three ways."""

    def call(*arguments: _P.args, **named: _P.kwargs) -> _R:
        try:
            return function(*arguments, **named)
        except BaseException:  # noqa: BLE001 - the process ends
            traceback.print_exc()
            sys.stdout.flush()
            os._exit(EXIT_HARNESS_ERROR)

    return call


def _open_library() -> ctypes.CDLL:
    """Open libFuzzer; it looks for the custom mutator when it is opened, so that goes first."""
    ctypes.CDLL(str(_atheris_library("custom_mutator")), mode=ctypes.RTLD_GLOBAL)
    path = _atheris_library("core_with_libfuzzer")
    library = ctypes.CDLL(str(path), mode=ctypes.RTLD_LOCAL)
    for function in (_INIT_COUNTERS, _INIT_PCS, _COMPARE):
        if not hasattr(library, function):
            raise HarnessError(f"{path.name} does not export {function}: use atheris 3.0 or 3.1")
    return library


def _atheris_library(name: str) -> Path:
    spec = find_spec("atheris")
    if spec is None or spec.origin is None:
        raise HarnessError("atheris is not installed: run `make setup`")
    folder = Path(spec.origin).parent
    found = sorted(folder.glob(f"{name}*.so"))
    if not found:
        raise HarnessError(f"no {name} library in {folder}: install atheris 3.0 or 3.1 again")
    return found[0]
