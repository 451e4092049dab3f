"""What holds for every test: hypothesis tries the same examples on each run, however slow the machine is."""

from __future__ import annotations

from hypothesis import settings

# A merge must not hang on luck or on a busy neighbour; searching with many seeds is `make prove`'s work.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")
