"""How fpplm runs on this machine: DVC, Git, Great Expectations, Prefect's server, the terminal."""

import os

# The libraries below must report nothing to anybody unless the user has allowed it.
# oneDNN keeps 0.3 MB for each shape of a bfloat16 product; its default of 1,024 shapes takes as much as the model.
for _variable, _value in {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
    "ORT_DISABLE_TELEMETRY": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}.items():
    os.environ.setdefault(_variable, _value)

# By default, OpenMP's threads wait for each other in a busy loop for milliseconds. If another process needs their
# cores, every barrier can then cost a time slice. libgomp reads the variable when torch loads it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
