# SPDX-License-Identifier: GPL-2.0-only
"""Try each planted bug with each strategy, several times, and add up how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from zsfuzz.bench.bugs.catalogue import Bug
from zsfuzz.bench.bugs.stages import ALL, stages
from zsfuzz.bench.bugs.trial import Kernels, Trial, run_trial
from zsfuzz.errors import ZsfuzzError
from zsfuzz.strategy import Strategy
from zstools.errors import BuildInterruptedError, ZsToolsError


@dataclass(frozen=True)
class Plan:
    """How each bug is measured; `limit` is in seconds, for each trial."""

    strategies: tuple[Strategy, ...] = (Strategy.FULL,)
    seeds: int = 3
    limit: float = 60.0
    flavours: tuple[str, ...] = ALL


@dataclass(frozen=True)
class Series:
    """All trials of one bug with one strategy; `limit` is in seconds, for each of them."""

    bug: Bug
    strategy: Strategy
    limit: float
    trials: tuple[Trial, ...] = ()
    error: str = ""  # why there are no more

    @property
    def hits(self) -> int:
        """Count the trials that found something."""
        return sum(trial.found for trial in self.trials)

    @property
    def flaky(self) -> int:
        """Count the findings that did not show again."""
        return sum(trial.found and trial.flaky for trial in self.trials)

    @property
    def found(self) -> bool:
        """Tell whether most trials found something."""
        return 2 * self.hits > len(self.trials)

    @property
    def seconds(self) -> float | None:
        """Give the median to the first finding; None if most trials found nothing."""
        return median(self._times("seconds")) if self.found else None

    @property
    def operations(self) -> float | None:
        """Give the median to the first finding, in operations."""
        return median(self._times("operations")) if self.found else None

    def _times(self, name: str) -> list[float]:
        """List what each trial needed; one without a finding needs more than any other."""
        return [getattr(t, name) if t.found else float("inf") for t in self.trials]

    @property
    def spread(self) -> tuple[float, float] | None:
        """Give the shortest and the longest time to a finding, in seconds."""
        times = [trial.seconds for trial in self.trials if trial.found]
        return (min(times), max(times)) if times else None

    @property
    def oracles(self) -> Counter[str]:
        """Count what saw it first."""
        return Counter(trial.oracle for trial in self.trials if trial.found)

    @property
    def named(self) -> int:
        """Count the findings whose title says what is wrong."""
        return sum(trial.found and self.bug.is_named_by(trial.title) for trial in self.trials)

    def _most(self, name: str) -> str | None:
        counts = Counter(getattr(trial, name) for trial in self.trials if trial.found)
        return next((value for value, _ in counts.most_common(1)), None)

    def as_dict(self) -> dict[str, object]:
        """Give it as `--json` writes it, with null where nothing was found."""
        return {
            "name": self.bug.name,
            "design": self.bug.design,
            "strategy": self.strategy.value,
            "control": self.bug.control,
            "found": self.found,
            "seconds": self.seconds,
            "operations": self.operations,
            "title": self._most("title"),
            "oracle": self._most("oracle"),
            "flavour": self._most("flavour"),
            "named": self.named,
            "flaky": self.flaky,
            "error": self.error or None,
            "trials": [asdict(trial) for trial in self.trials],
        }


def measure(bugs: Sequence[Bug], plan: Plan, kernels: Callable[[Bug], Kernels]) -> Iterator[Series]:
    """Measure each bug with each strategy; one that cannot be built or run does not stop others."""
    for bug in bugs:
        for strategy in plan.strategies:
            yield _series(bug, strategy, plan, kernels(bug))


def _series(bug: Bug, strategy: Strategy, plan: Plan, kernels: Kernels) -> Series:
    trials: list[Trial] = []
    try:
        for seed in range(plan.seeds):
            todo = stages(strategy, plan.limit, plan.flavours)
            trials.append(run_trial(kernels, strategy, todo, 1 + seed))
    except BuildInterruptedError:
        raise
    except (ZsToolsError, ZsfuzzError) as error:
        return Series(bug, strategy, plan.limit, tuple(trials), f"{bug.patch}: {error}")
    return Series(bug, strategy, plan.limit, tuple(trials))
