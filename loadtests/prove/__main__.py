"""`python -m loadtests.prove [NAME ...]`: strict figures and long runs, kept in docs/evidence; no gate for a merge."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable

from loadtests.prove import (
    admin,
    bench,
    churn,
    decisions,
    disconnects,
    ejection,
    keys,
    ledger,
    many_keys,
    outage,
    overload,
    overload_cost,
    overload_minute,
    overload_storm,
    overload_tenants,
    quotas,
    quotas_attacks,
    quotas_cost,
    quotas_outage,
    quotas_slots,
    shadow,
    site_packages,
    soak,
    triton_bench,
    triton_bodies,
    triton_channel,
    triton_disconnects,
    triton_streams,
)
from loadtests.prove.evidence import FOLDER, Verdict, keep

PROOFS: dict[str, Callable[[], Verdict]] = {
    "bench": bench.prove,
    "soak": soak.prove,
    "soak-keys": soak.prove_with_keys,
    "disconnects": disconnects.prove,
    "churn": churn.prove,
    "keys": keys.prove,
    "many-keys": many_keys.prove,
    "ledger": ledger.prove,
    "admin": admin.prove,
    "decisions": decisions.prove,
    "ejection": ejection.prove,
    "outage": outage.prove,
    "overload": overload.prove,
    "overload-storm": overload_storm.prove,
    "overload-tenants": overload_tenants.prove,
    "overload-minute": overload_minute.prove,
    "overload-cost": overload_cost.prove,
    "quotas": quotas.prove,
    "quotas-seeds": quotas.prove_seeds,
    "quotas-outage": quotas_outage.prove,
    "quotas-slots": quotas_slots.prove,
    "quotas-attacks": quotas_attacks.prove,
    "quotas-cost": quotas_cost.prove,
    "shadow": shadow.prove,
    "site-packages": site_packages.prove,
    "triton-bench": triton_bench.prove,
    "triton-streams": triton_streams.prove,
    "triton-disconnects": triton_disconnects.prove,
    "triton-channel": triton_channel.prove,
    "triton-bodies": triton_bodies.prove,
}


def main() -> int:
    """Exit status: 0 if every proof holds, 1 if not."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else it would leave behind what it has started
    parser = argparse.ArgumentParser(prog="python -m loadtests.prove", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROOFS)}; all without one")
    parser.add_argument("--compiled", action="store_true", help="of the hot path as machine code: NAME-compiled.json")
    arguments = parser.parse_args()
    names = arguments.names or list(PROOFS)
    if unknown := [name for name in names if name not in PROOFS]:
        parser.error(f"no such proof: {', '.join(unknown)}")
    if arguments.compiled:
        subprocess.run([sys.executable, "scripts/compile.py"], cwd=FOLDER.parents[1], check=True)
    else:
        os.environ["SNOWSHED_COMPILED"] = "off"
    held = True
    for name in names:
        prove = PROOFS[name]
        claim = (prove.__doc__ or "").strip()
        print(f"{name}: {claim}", flush=True)
        verdict = prove()
        held &= verdict.passed
        print("\n".join(bar.line() for bar in verdict.bars))
        kept = keep(f"{name}-compiled" if arguments.compiled else name, claim, verdict)
        print(f"  {kept.name}", flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
