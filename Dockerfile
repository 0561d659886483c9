# docker build -t varsigma .                        the service on the CPU
# docker build -t varsigma:cuda --target cuda .     with the CUDA libraries; run with --gpus all
# docker run --rm -p 8000:8000 --read-only --tmpfs /tmp --stop-timeout 40 \
#   -v "$PWD/reference:/reference:ro" -v varsigma-jobs:/jobs \
#   -e VARSIGMA_REFERENCE=/reference/GRCh37.fa -e VARSIGMA_ASSEMBLY=GRCh37 varsigma
# compose.yaml says the same with Prometheus beside it.
ARG PYTHON_VERSION=3.11

# --- the wheel, models included ---
FROM python:${PYTHON_VERSION}-slim AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY service ./service
COPY training ./training
COPY models ./models
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip wheel --no-deps --wheel-dir /dist . \
    && python -m venv /opt/varsigma \
    && mkdir /jobs

# --- the environment, once per target ---
FROM wheel AS install-cpu
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/varsigma/bin/python -m pip install --constraint constraints.txt /dist/varsigma-*.whl

FROM wheel AS install-cuda
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/varsigma/bin/python -m pip install --constraint constraints.txt "$(echo /dist/varsigma-*.whl)[cuda]"

# --- what runs: no compiler, no source, no root; nothing is written outside /tmp and /jobs ---
FROM python:${PYTHON_VERSION}-slim AS runtime
ENV PATH=/opt/varsigma/bin:$PATH \
    HOME=/tmp \
    ORT_DISABLE_TELEMETRY=1 \
    VARSIGMA_JOBS=/jobs \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A volume that is mounted here takes over whom it belongs to.
COPY --from=wheel --chown=65532:65532 /jobs /jobs
WORKDIR /data
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
ENTRYPOINT ["varsigma"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]

FROM runtime AS cuda
ENV VARSIGMA_DEVICE=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=install-cuda /opt/varsigma /opt/varsigma

FROM runtime AS cpu
COPY --from=install-cpu /opt/varsigma /opt/varsigma
