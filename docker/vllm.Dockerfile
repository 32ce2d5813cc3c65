# vLLM with the launcher that fits it to the graphics card: docker build -f docker/vllm.Dockerfile -t voice-fleet/vllm .
# Contains no model: that is downloaded into the volume when the container runs.
ARG CUDA_VERSION=12.8.0
ARG NODE_VERSION=20.20.2

FROM node:${NODE_VERSION}-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json turbo.json tsconfig.base.json ./
COPY packages packages
COPY services services
RUN npm ci --ignore-scripts --no-audit --no-fund
RUN TURBO_TELEMETRY_DISABLED=1 npx turbo run build --filter=@voice-fleet/asr-worker
RUN for folder in packages/* services/asr-worker; do \
      if [ -d "${folder}/dist" ]; then \
        mkdir -p "/app/${folder}" && cp -r "${folder}/dist" "${folder}/package.json" "/app/${folder}/"; \
      fi; \
    done
# The launcher needs none of the worker's optional packages.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --workspace=services/asr-worker \
    && cp -a node_modules /app/node_modules

FROM node:${NODE_VERSION}-bookworm-slim AS uv
ARG UV_VERSION=0.8.3
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip
# Into a folder of its own: Debian lets pip write to no other.
RUN python3 -m pip install --no-cache-dir --target /uv "uv==${UV_VERSION}"

# With the compiler: vLLM compiles kernels when it starts.
FROM nvidia/cuda:${CUDA_VERSION}-devel-ubuntu22.04
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
COPY --from=uv /uv/bin/uv /usr/local/bin/uv
ENV UV_PYTHON_INSTALL_DIR=/opt/python VIRTUAL_ENV=/opt/venv
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
COPY --from=build /app /app
COPY docker/healthcheck.mjs /app/healthcheck.mjs
RUN useradd --uid 1000 --create-home voice && mkdir /models && chown 1000:1000 /models
ENV NODE_ENV=production VF_SERVICE=vllm VENV_DIR=/opt/venv VOXTRAL_MODEL_DIR=/models/voxtral HOME=/home/voice
VOLUME /models
WORKDIR /home/voice
USER 1000:1000
# The first start downloads 9 GB, and every start compiles kernels.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30m --retries=3 CMD ["node", "/app/healthcheck.mjs"]
# Hands SIGTERM on to vLLM and ends with it.
ENTRYPOINT ["node", "--enable-source-maps", "/app/services/asr-worker/dist/cli/vllm.js"]
CMD ["run"]
