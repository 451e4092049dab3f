"""Single gauges out of a page of metrics in Prometheus' text format, without reading what nobody asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import isfinite
from typing import NamedTuple


class Gauge(NamedTuple):
    """One sample; its value is finite and not negative, as every count of requests and every share is."""

    name: str
    labels: Mapping[str, str]
    value: float


def gauges(page: bytes, names: Collection[str]) -> Iterator[Gauge]:
    """The samples of these names, in their order. Raises ValueError for a page that can't be read.

    Only their lines go to the library's parser: a model server's whole page would hold up the loop for 5 ms.
    """
    from prometheus_client.parser import text_string_to_metric_families

    starts = tuple(name + end for name in names for end in ("{", " ", "\t"))
    lines = [line for line in page.decode().splitlines() if line.startswith(starts)]
    try:
        families = list(text_string_to_metric_families("\n".join(lines) + "\n"))
    except IndexError as error:  # for some labels that have no name
        raise ValueError("its labels can't be read") from error
    for family in families:
        for sample in family.samples:
            if isfinite(sample.value) and sample.value >= 0:
                yield Gauge(sample.name, sample.labels, sample.value)
