"""`python -m benchmarks.peers [NAME ...]`: makes the peers' environments; exits with 1 when one failed."""

from __future__ import annotations

import argparse
import sys

from benchmarks import peers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=peers.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(peers.NAMES)}; all without")
    names = parser.parse_args().names
    if unknown := set(names) - set(peers.NAMES):
        parser.error(f"no peer named {', '.join(sorted(unknown))}")
    failed = peers.make(names or peers.NAMES)
    for name, reason in failed.items():
        print(f"\n{name} could not be made:\n{reason}", file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
