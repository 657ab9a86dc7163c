# syntax=docker/dockerfile:1
# Two images, with the versions of requirements.lock, neither of which runs as root (docs/docker.md):
#   docker build --target serve --tag fpplm-serve .    a bundle behind HTTP, without torch
#   docker build --target train --tag fpplm-train .    the pipeline
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:${PYTHON}-slim AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock /opt/fpplm/
COPY --from=wheel /dist/ /opt/fpplm/
RUN useradd --create-home --uid 10001 fpplm

FROM base AS train
# A CPU build of torch; for CUDA: --build-arg TORCH_INDEX=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
RUN pip install --index-url "$TORCH_INDEX" torch -c /opt/fpplm/requirements.lock \
    && pip install "$(ls /opt/fpplm/*.whl)[pipeline]" -c /opt/fpplm/requirements.lock
# The project is mounted here, and the container runs with the user that owns it, who has no home in the image.
ENV HOME=/tmp
WORKDIR /project
USER fpplm
ENTRYPOINT ["fpplm"]
CMD ["retrain"]

FROM base AS serve
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# The lock has onnxruntime-gpu for this platform, which the pipeline needs; a service gets the CPU package of the same version.
RUN version=$(sed -n 's/^onnxruntime==\([0-9.]*\).*/\1/p' /opt/fpplm/requirements.lock) \
    && pip install "$(ls /opt/fpplm/*.whl)[http]" "onnxruntime==$version" -c /opt/fpplm/requirements.lock
USER fpplm
EXPOSE 8000
# Ready as soon as the golden sentences of the bundle are tagged as they must be.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=2)"]
ENTRYPOINT ["fpplm", "serve"]
CMD ["/bundle", "--host", "0.0.0.0"]
