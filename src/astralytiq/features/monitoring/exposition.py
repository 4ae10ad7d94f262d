"""All that is measured, as Prometheus reads it: text, or OpenMetrics where that is asked for."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from astralytiq import __version__
from astralytiq.core import offers
from astralytiq.core.metrics import BINS_AN_OCTAVE, Snapshot, Tally, longest_of
from astralytiq.core.settings import Settings

from .gauges import Measured
from .tables import Pool

if TYPE_CHECKING:
    from prometheus_client import Metric

PREFIX = "astralytiq_"
# Bounds of our own bins, so that what is told is exact: from 0.64 ms to 42 s, each twice the last.
BOUNDS = tuple(octave * BINS_AN_OCTAVE for octave in range(6, 23))
DOOR = ("method", "path")


@dataclass(frozen=True)
class Exposition:
    """What one scrape tells."""

    settings: Settings
    requests: Snapshot
    in_progress: int
    pools: dict[str, Pool]
    measured: Measured

    def collect(self) -> Iterable["Metric"]:
        from prometheus_client import ProcessCollector  # noqa: PLC0415 - see `written`

        yield from self._of_requests()
        yield from self._of_the_house()
        yield from self._of_rooms()
        yield from ProcessCollector(registry=None).collect()

    def _of_requests(self) -> Iterator["Metric"]:
        from prometheus_client.core import (  # noqa: PLC0415
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        count = CounterMetricFamily(
            f"{PREFIX}http_requests",
            "requests by door, and how they ended: ok, client_error or server_error",
            labels=(*DOOR, "outcome"),
        )
        took = HistogramMetricFamily(
            f"{PREFIX}http_request_duration_seconds", "durations of requests", labels=DOOR
        )
        for door, tally in sorted(self.requests.total.tallies.items()):
            for outcome, number in outcomes(tally).items():
                count.add_metric((*door, outcome), number)
            took.add_metric(door, buckets(tally), sum_value=tally.seconds)
        yield count
        yield took
        yield GaugeMetricFamily(
            f"{PREFIX}http_requests_in_progress", "requests under way", self.in_progress
        )

    def _of_the_house(self) -> Iterator["Metric"]:
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily  # noqa: PLC0415

        yield InfoMetricFamily(
            f"{PREFIX}build",
            "the program that answers",
            {"version": __version__, "environment": self.settings.environment},
        )
        connected = float(self.measured.connected)
        yield GaugeMetricFamily(f"{PREFIX}database_up", "1 if the database answers", connected)
        used = GaugeMetricFamily(
            f"{PREFIX}database_connections",
            "connections of this process",
            labels=("pool", "state"),
        )
        for name, pool in self.pools.items():
            used.add_metric((name, "in_use"), pool.in_use)
            used.add_metric((name, "idle"), pool.idle)
        yield used

    def _of_rooms(self) -> Iterator["Metric"]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

        for name, value in self.measured.figures.items():
            figure = offers.FIGURES[name]
            yield GaugeMetricFamily(name_of(name, figure.unit), figure.about, value)
        for name, values in self.measured.breakdowns.items():
            one = offers.BREAKDOWNS[name]
            kind = CounterMetricFamily if one.grows else GaugeMetricFamily
            family = kind(f"{PREFIX}{name}", one.about, labels=one.labels)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family


def name_of(figure: str, unit: str) -> str:
    """With its unit at the end, as Prometheus has it."""
    return f"{PREFIX}{figure.removesuffix(f'_{unit}')}_{unit}" if unit else f"{PREFIX}{figure}"


def outcomes(tally: Tally) -> dict[str, int]:
    wrong = tally.client_errors + tally.server_errors
    return {
        "ok": tally.count - wrong,
        "client_error": tally.client_errors,
        "server_error": tally.server_errors,
    }


def buckets(tally: Tally) -> list[tuple[str, float]]:
    """Cumulative, as a histogram of Prometheus is."""
    found: list[tuple[str, float]] = []
    bins, counted = deque(sorted(tally.bins.items())), 0
    for bound in BOUNDS:
        while bins and bins[0][0] <= bound:
            counted += bins.popleft()[1]
        found.append((f"{longest_of(bound):.6g}", counted))
    return [*found, ("+Inf", tally.count)]


def written(exposition: Exposition, accept: str) -> tuple[bytes, str]:
    """The text and its media type. Some thousand lines: not for the event loop.

    The library is imported with the first scrape: it is not on the path of a start.
    """
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415

    encode, media_type = choose_encoder(accept)
    return encode(exposition), media_type
