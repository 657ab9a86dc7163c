"""How fpplm runs on this machine: DVC, Git, Great Expectations, Prefect's server, the terminal."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from fpplm_core.errors import DataError, FpplmError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

# None of the libraries below is to report anything to anybody, unless the user has said so.
# oneDNN keeps 0.3 MB for each shape of a bfloat16 product: of 1,024, as by default, as much as the model takes.
for _variable, _value in {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}.items():
    os.environ.setdefault(_variable, _value)
