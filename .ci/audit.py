"""Looks the packages of requirements.lock up in PyPI's advisories with pip-audit; exit 1 for a new vulnerability.

Offline, or with an index that has no advisories, it says so and exits 0; docs/security.md has a dated list.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ACCEPTED = {  # no version without it; why it does not matter here
    "CVE-2026-69112": "accelerate: fpplm does not call load_checkpoint_in_model or load_checkpoint_and_dispatch",
}
UV = str(Path(sys.executable).with_name("uv"))
AUDIT = [UV, "tool", "run", "pip-audit", "--no-deps", "--disable-pip", "--progress-spinner", "off", "-f", "json"]


def main(lock: str = "requirements.lock") -> int:
    try:
        done = subprocess.run([*AUDIT, "-r", lock], capture_output=True, text=True, timeout=300, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        packages = []
    looked_up = [package for package in packages if "vulns" in package]
    if not looked_up:
        print("audit: NOT DONE, the advisories cannot be reached; docs/security.md has the list of the last time")
        return 0
    found = 0
    for package in looked_up:
        for vulnerability in package["vulns"]:
            names = {vulnerability["id"], *vulnerability["aliases"]}
            reason = next((ACCEPTED[name] for name in names if name in ACCEPTED), None)
            found += reason is None
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version"
            print(f"{package['name']} {package['version']}: {', '.join(sorted(names))}, fixed in {fixed}", reason or "")
    print(f"audit: {found} vulnerabilities, {len(looked_up)} packages; {len(packages) - len(looked_up)} not looked up")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
