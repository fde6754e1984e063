# SPDX-License-Identifier: GPL-2.0-only
"""A Prometheus endpoint on loopback, served by the supervisor's own thread while it waits.

No thread of its own: workers are forked, and locks of other threads would be forked with them.
"""

from __future__ import annotations

import io
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from zsfuzz.campaign.status import Status
from zsfuzz.errors import HarnessError

LOOPBACK = "127.0.0.1"
CLIENT_SECONDS = 1.0  # that one who asks may keep the supervisor waiting

_COUNTERS = {
    "programs": "Programs that were run.",
    "operations": "Operations of these programs.",
    "restarts": "Guests that were replaced after trouble.",
    "killed": "Of these, guests that were killed from outside.",
}
_GAUGES = {
    "corpus": "Programs in the corpus.",
    "seconds": "Time that the campaign has run.",
    "seconds_since_new_coverage": "Time since a kernel's coverage has grown.",
    "programs_per_second": "Rate of the last half minute.",
}


class _Timed(io.RawIOBase):
    """Reads from a socket until a moment has come, however slowly the bytes come."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(max(0.001, self._until - time.monotonic()))
        return self._connection.recv_into(buffer)


class _Quiet(WSGIRequestHandler):
    timeout = CLIENT_SECONDS  # of one call; what it sends back is one

    def setup(self) -> None:
        """Let all that is read together take no longer."""
        super().setup()
        raw = _Timed(self.connection, time.monotonic() + CLIENT_SECONDS)
        self.rfile = io.BufferedReader(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


class _Server(WSGIServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of one who asks for nothing, or too slowly."""


class Endpoint:
    """Answers GET / and /metrics; `latest` gives the newest status, or an empty one."""

    def __init__(self, port: int, latest: Callable[[], Status]) -> None:
        self._latest = latest
        registry = CollectorRegistry()
        registry.register(self)
        try:
            self._server: WSGIServer = make_server(
                LOOPBACK, port, make_wsgi_app(registry), _Server, _Quiet
            )
        except OSError as error:
            raise HarnessError(f"port {port} of {LOOPBACK}: {error}: give another one") from error
        self._server.timeout = 0
        self.port: int = self._server.server_port

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Give all metrics; prometheus_client calls it."""
        status = self._latest()
        if not status:
            return
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"zsfuzz_{name}", text, value=status[name])
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(f"zsfuzz_{name}", text, value=status[name])
        yield GaugeMetricFamily("zsfuzz_findings", "Findings.", value=len(status["findings"]))
        yield GaugeMetricFamily("zsfuzz_workers", "Workers.", value=len(status["workers"]))
        coverage = GaugeMetricFamily(
            "zsfuzz_coverage", "Reached of mm/zsmalloc.c.",
            labels=["design", "flavour", "variant", "what"],
        )  # fmt: skip
        best: dict[tuple[str, ...], int] = {}
        for kernel in status["coverage"]["kernels"]:
            names = kernel["design"], kernel["flavour"], kernel["variant"]
            for what in ("lines", "branches", "sites"):  # another build has the same names
                reached = kernel[what]["reached"]
                best[*names, what] = max(reached, best.get((*names, what), 0))
        for labels, reached in best.items():
            coverage.add_metric(labels, reached)
        yield coverage

    def wait(self, seconds: float) -> None:
        """Let time pass, and answer who asks meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._server], [], [], left)[0]:
                self._server.handle_request()

    def close(self) -> None:
        """Close the port."""
        self._server.server_close()
