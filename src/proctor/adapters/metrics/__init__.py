"""Figures of metrics from outside: web addresses that answer JSON, Prometheus, Python functions."""

from proctor.adapters.metrics.meter import OutsideMeter

__all__ = ["OutsideMeter"]
