"""What presents the records of ended requests. A new exporter is one file and one line in this table."""

from collections.abc import Callable, Mapping
from typing import Final

from .exporter import Exporter, Sources
from .prometheus import PrometheusExporter

EXPORTERS: Final[Mapping[str, Callable[[Sources], Exporter]]] = {
    "prometheus": PrometheusExporter,
}
