"""Settings of hypothesis for all tests: no limit of time, since a test must not fail because the machine is busy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("textbookgen", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("textbookgen")
