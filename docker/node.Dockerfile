# A service of the fleet: docker build -f docker/node.Dockerfile --build-arg SERVICE=gateway -t voice-fleet/gateway .
# By a tag, which may move; by digest it cannot: --build-arg NODE_IMAGE=node:20.20.2-bookworm-slim@sha256:...
ARG NODE_IMAGE=node:20.20.2-bookworm-slim

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
# No package needs its install script here: the native ones bring their binaries along.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY turbo.json tsconfig.base.json ./
COPY packages packages
COPY services services
ARG SERVICE
RUN test -d "services/${SERVICE:?name one with --build-arg SERVICE=gateway, asr-worker or llm-tts}"
RUN TURBO_TELEMETRY_DISABLED=1 npx turbo run build --filter="@voice-fleet/${SERVICE}"
# What was compiled, where Node looks for it, and without the sources; and the page, which is served as it is.
RUN for folder in packages/* "services/${SERVICE}"; do \
      if [ -d "${folder}/dist" ]; then \
        mkdir -p "/app/${folder}" && cp -r "${folder}/dist" "${folder}/package.json" "/app/${folder}/"; \
      fi; \
      if [ -d "${folder}/public" ]; then cp -r "${folder}/public" "/app/${folder}/"; fi; \
    done

# Without the compiler, the test tools, and what other services need.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /src
COPY --from=manifests /src ./
ARG SERVICE
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund --workspace="services/${SERVICE}" \
    && rm package.json package-lock.json \
    && find packages services -maxdepth 2 -name package.json -delete \
    && find packages services -type d -empty -delete
# The runtime of the voice detector brings its library for every system, 290 MB in all; this image needs one of them.
RUN for library in node_modules/onnxruntime-node/bin/*/*/*; do \
      case "${library}" in \
        */linux/"$(node -p process.arch)") ;; \
        *) rm -rf "${library}" ;; \
      esac; \
    done

FROM ${NODE_IMAGE} AS init
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*

FROM ${NODE_IMAGE}
ARG SERVICE
# More of Debian, such as "ffmpeg" or "espeak-ng".
ARG EXTRA_PACKAGES=
# The asr-worker has the demonstration engine, for machines without a graphics card.
RUN set -- ${EXTRA_PACKAGES}; \
    if [ "${SERVICE}" = asr-worker ]; then set -- "$@" libpocketsphinx3 pocketsphinx-en-us; fi; \
    if [ $# -gt 0 ]; then \
      apt-get update \
      && apt-get install -y --no-install-recommends "$@" \
      && rm -rf /var/lib/apt/lists/*; \
    fi
# Nothing is installed from here on. A volume that is mounted on the folder of jobs takes over whose it is.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn* /opt/yarn* \
    && mkdir -p /var/lib/voice-fleet/jobs && chown -R 1000:1000 /var/lib/voice-fleet
COPY --from=init /usr/bin/tini-static /usr/bin/tini
# ONNX Runtime would note down an id of this machine and what it is used for.
ENV NODE_ENV=production VF_SERVICE=${SERVICE} ORT_DISABLE_TELEMETRY=1
COPY --from=dependencies /src /app
COPY docker/healthcheck.mjs docker/pause.mjs /app/
COPY --from=build /app /app
WORKDIR /app/services/${SERVICE}
ARG VERSION=0.0.0-local
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="voice-fleet ${SERVICE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number, so that a cluster can see that it is not root.
USER 1000:1000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["node", "/app/healthcheck.mjs"]
# Engines and encoders are programs, and may leave programs of their own behind: process 1 has to wait for them, and Node does not.
ENTRYPOINT ["/usr/bin/tini", "--", "node", "--enable-source-maps", "dist/main.js"]
