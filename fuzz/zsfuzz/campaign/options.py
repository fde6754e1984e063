# SPDX-License-Identifier: GPL-2.0-only
"""What a campaign is asked to do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zsfuzz.mutation.rawbytes import DEFAULT_LIMIT
from zstools.kernel import KernelSpec

FAULTS = ("usual", "many")
DEFAULT = "default"  # the variant that changes nothing


@dataclass(frozen=True)
class Options:
    """Options of `zsfuzz campaign start`; the next start has those that it is not given anew."""

    designs: tuple[str, ...] = ("zspage",)
    flavours: tuple[str, ...] = ("plain", "kasan")
    variants: tuple[str, ...] = (DEFAULT,)
    faults: tuple[str, ...] = FAULTS
    jobs: int = 1
    slice_seconds: float = 120.0  # that a worker runs before the next in the schedule has its turn
    stall_seconds: float = 120.0  # without any program, after which a worker is replaced
    seed: int = 1
    max_operations: int = DEFAULT_LIMIT
    reserve: int = 64  # MiB that must be free on the disk
    linux: str | None = None
    patches: tuple[str, ...] = ()
    corpus: tuple[str, ...] = ()
    scheduler: str | None = None  # of Dask, which runs the workers
    exchange: str | None = None  # URL through which they exchange; None: the campaign's directory

    @property
    def specs(self) -> list[KernelSpec]:
        """Name all kernels of the schedule."""
        linux = Path(self.linux) if self.linux else None
        patches = tuple(map(Path, self.patches))
        return [
            KernelSpec(design, flavour, linux, patches, () if name == DEFAULT else (name,))
            for name in self.variants
            for design in self.designs
            for flavour in self.flavours
        ]

    def as_json(self) -> str:
        """Give what the database keeps."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Options:
        """Read back what `as_json` gave; what another version had besides is left out."""
        known: dict[str, Any] = json.loads(text)
        facts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in known.items()
            if name in cls.__dataclass_fields__
        }
        return cls(**facts)
