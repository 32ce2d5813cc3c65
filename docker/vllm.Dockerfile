# vLLM with the launcher that fits it to the graphics card: docker build -f docker/vllm.Dockerfile -t voice-fleet/vllm .
# Contains no model: that is downloaded into the volume when the container runs.
# Bases by a tag, which may move; by digest they cannot: --build-arg NODE_IMAGE=node:20.20.2-bookworm-slim@sha256:...
ARG NODE_IMAGE=node:20.20.2-bookworm-slim
ARG CUDA_VERSION=12.8.0
ARG CUDA_IMAGE=nvidia/cuda:${CUDA_VERSION}-devel-ubuntu22.04

# What is installed depends on this alone: a changed source installs nothing anew.
FROM ${NODE_IMAGE} AS manifests
WORKDIR /src
COPY package.json package-lock.json ./
COPY packages packages
COPY services services
RUN find packages services -type f ! -name package.json -delete && find packages services -type d -empty -delete

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY --from=manifests /src ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY turbo.json tsconfig.base.json ./
COPY packages packages
COPY services services
RUN TURBO_TELEMETRY_DISABLED=1 npx turbo run build --filter=@voice-fleet/asr-worker
RUN for folder in packages/* services/asr-worker; do \
      if [ -d "${folder}/dist" ]; then \
        mkdir -p "/app/${folder}" && cp -r "${folder}/dist" "${folder}/package.json" "/app/${folder}/"; \
      fi; \
    done

# The launcher needs none of the worker's optional packages.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /src
COPY --from=manifests /src ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --workspace=services/asr-worker \
    && rm package.json package-lock.json \
    && find packages services -maxdepth 2 -name package.json -delete \
    && find packages services -type d -empty -delete

FROM ${NODE_IMAGE} AS tools
ARG UV_VERSION=0.8.3
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip tini \
    && rm -rf /var/lib/apt/lists/*
# Into a folder of its own: Debian lets pip write to no other.
RUN python3 -m pip install --no-cache-dir --target /uv "uv==${UV_VERSION}"

# With the compiler: vLLM compiles kernels when it starts.
FROM ${CUDA_IMAGE}
# The build of PyTorch. It must fit CUDA_VERSION, and the driver of the host.
ARG TORCH_BACKEND=cu128
# Where PyTorch comes from; empty: where uv knows TORCH_BACKEND to be.
ARG PYTORCH_CUDA_INDEX_URL=
ARG VLLM_VERSION=0.22.0
# A package index that is asked first for that version. Needed with cu12*: the default one has vLLM for CUDA 13 only.
ARG VLLM_WHEEL_INDEX_URL=
# Another vLLM than that version.
ARG VLLM_WHEEL_URL=
ARG PYTHON_VERSION=3.12
COPY --from=tools /uv/bin/uv /usr/local/bin/uv
# Compiled now: where the root is read-only it could not be kept later.
ENV UV_PYTHON_INSTALL_DIR=/opt/python VIRTUAL_ENV=/opt/venv UV_COMPILE_BYTECODE=1
RUN uv venv --python "${PYTHON_VERSION}" "${VIRTUAL_ENV}"
# The words of `vllm.ts wheel`, and its note.
RUN case "${TORCH_BACKEND}:${VLLM_WHEEL_INDEX_URL}${VLLM_WHEEL_URL}" in \
      cu12*:) \
        echo "this vLLM is for CUDA 13 only: set VLLM_WHEEL_INDEX_URL or VLLM_WHEEL_URL, see docker/README.md" >&2; \
        exit 1 ;; \
    esac; \
    if [ -n "${PYTORCH_CUDA_INDEX_URL}" ]; then \
      set -- --index-strategy unsafe-best-match --extra-index-url "${PYTORCH_CUDA_INDEX_URL}"; \
    else \
      set -- --torch-backend "${TORCH_BACKEND}"; \
    fi; \
    if [ -n "${VLLM_WHEEL_URL}" ]; then \
      set -- "$@" "${VLLM_WHEEL_URL}"; \
    else \
      if [ -n "${VLLM_WHEEL_INDEX_URL}" ]; then \
        set -- "$@" --extra-index-url "${VLLM_WHEEL_INDEX_URL}"; \
      fi; \
      set -- "$@" "vllm==${VLLM_VERSION}"; \
    fi; \
    UV_NO_CACHE=1 uv pip install "$@" 'mistral-common[audio]>=1.9'
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=tools /usr/bin/tini-static /usr/bin/tini
COPY --from=dependencies /src /app
COPY docker/healthcheck.mjs /app/healthcheck.mjs
COPY --from=build /app /app
RUN useradd --uid 1000 --home-dir /scratch --no-create-home voice && mkdir /models /scratch && chown 1000:1000 /models /scratch
ENV NODE_ENV=production VF_SERVICE=vllm VENV_DIR=/opt/venv VOXTRAL_MODEL_DIR=/models/voxtral
# Whatever vLLM and its libraries compile, fetch or note down goes to one folder; besides, they need /tmp and /dev/shm only.
ENV HOME=/scratch USER=voice \
    XDG_CACHE_HOME=/scratch \
    XDG_CONFIG_HOME=/scratch/config \
    VLLM_CACHE_ROOT=/scratch/vllm \
    VLLM_CONFIG_ROOT=/scratch/config/vllm \
    HF_HOME=/scratch/huggingface \
    TRITON_CACHE_DIR=/scratch/triton \
    TORCHINDUCTOR_CACHE_DIR=/scratch/torchinductor \
    FLASHINFER_WORKSPACE_BASE=/scratch \
    CUDA_CACHE_PATH=/scratch/nv \
    NUMBA_CACHE_DIR=/scratch/numba \
    MPLCONFIGDIR=/scratch/matplotlib
# Nobody is told that it runs.
ENV VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 HF_HUB_DISABLE_TELEMETRY=1
VOLUME ["/models", "/scratch"]
WORKDIR /scratch
ARG VERSION=0.0.0-local
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="voice-fleet vllm" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number, so that a cluster can see that it is not root.
USER 1000:1000
# The first start downloads 9 GB, and every start compiles kernels.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30m --retries=3 CMD ["node", "/app/healthcheck.mjs"]
# The launcher hands SIGTERM on to vLLM and ends with it. Should vLLM be killed, its engine processes are left to process 1.
ENTRYPOINT ["/usr/bin/tini", "--", "node", "--enable-source-maps", "/app/services/asr-worker/dist/cli/vllm.js"]
CMD ["run"]
