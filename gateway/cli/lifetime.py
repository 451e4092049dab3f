"""How long something holds, as an option takes it: `90d`, `12h`."""

from __future__ import annotations

from typing import Any

import click

LONGEST = 1e10
"""Three centuries, in seconds."""


class Lifetime(click.ParamType[float]):
    """Seconds, more than none."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from decimal import Decimal

        from engines.units import Units

        units = Units("seconds", {"s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)})
        try:
            seconds = float(units.read(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not 0 < seconds < LONGEST:
            self.fail("takes more than no time, and less than for ever", param, ctx)
        return seconds
