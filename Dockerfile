# docker build -t varsigma .                        the service on the CPU
# docker build -t varsigma:cuda --target cuda .     with the CUDA libraries; run with --gpus all
# docker run --rm -p 8000:8000 -v "$PWD/reference:/reference:ro" \
#   -e VARSIGMA_REFERENCE=/reference/GRCh37.fa -e VARSIGMA_ASSEMBLY=GRCh37 varsigma
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
    && python -m venv /opt/varsigma

# --- the environment, once per target ---
FROM wheel AS install-cpu
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/varsigma/bin/python -m pip install --constraint constraints.txt /dist/varsigma-*.whl

FROM wheel AS install-cuda
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/varsigma/bin/python -m pip install --constraint constraints.txt "$(echo /dist/varsigma-*.whl)[cuda]"

# --- what runs: no compiler, no source, no root ---
FROM python:${PYTHON_VERSION}-slim AS runtime
ENV PATH=/opt/varsigma/bin:$PATH \
    PYTHONUNBUFFERED=1
WORKDIR /data
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
ENTRYPOINT ["varsigma"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]

FROM runtime AS cuda
ENV VARSIGMA_DEVICE=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=install-cuda /opt/varsigma /opt/varsigma

FROM runtime AS cpu
COPY --from=install-cpu /opt/varsigma /opt/varsigma
