"""The token cap of a request, lowered to what the limits of its caller have left."""

from __future__ import annotations

import msgspec

from router.api import CapField

_number = msgspec.json.Decoder(int | None).decode


def lower(fields: dict[str, msgspec.Raw], cap_field: CapField, most: int) -> int:
    """Have a model server end each answer after `most` tokens; 0: it was asked for no more.

    Else `most`. `fields` are those of a call for texts, with one cap. What asks for so many tokens at least asks for no
    more.
    """
    if (_number(fields[cap_field]) or 0) <= most:
        return 0
    lowered = fields[cap_field] = msgspec.Raw(b"%d" % most)
    least = fields.get("min_tokens")
    if least is not None and (_number(least) or 0) > most:  # else servers would refuse the two together
        fields["min_tokens"] = lowered
    return most
