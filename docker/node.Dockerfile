# A service of the fleet: docker build -f docker/node.Dockerfile --build-arg SERVICE=gateway -t voice-fleet/gateway .
ARG NODE_VERSION=20.20.2

FROM node:${NODE_VERSION}-bookworm-slim AS build
ARG SERVICE
WORKDIR /src
COPY package.json package-lock.json turbo.json tsconfig.base.json ./
COPY packages packages
COPY services services
RUN test -d "services/${SERVICE:?name one with --build-arg SERVICE=gateway, asr-worker or llm-tts}"
# No package needs its install script here: the native ones bring their binaries along.
RUN npm ci --ignore-scripts --no-audit --no-fund
RUN TURBO_TELEMETRY_DISABLED=1 npx turbo run build --filter="@voice-fleet/${SERVICE}"
# What was compiled, where Node looks for it, and without the sources; and the page, which is served as it is.
RUN for folder in packages/* "services/${SERVICE}"; do \
      if [ -d "${folder}/dist" ]; then \
        mkdir -p "/app/${folder}" && cp -r "${folder}/dist" "${folder}/package.json" "/app/${folder}/"; \
      fi; \
      if [ -d "${folder}/public" ]; then cp -r "${folder}/public" "/app/${folder}/"; fi; \
    done
# Once more, now without the compiler and the test tools.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund --workspace="services/${SERVICE}" \
    && cp -a node_modules /app/node_modules
# The runtime of the voice detector brings its library for every system, 290 MB in all; this image needs one of them.
RUN for library in /app/node_modules/onnxruntime-node/bin/*/*/*; do \
      case "${library}" in \
        */linux/"$(node -p process.arch)") ;; \
        *) rm -rf "${library}" ;; \
      esac; \
    done

FROM node:${NODE_VERSION}-bookworm-slim
ARG SERVICE
# The demonstration engine of the asr-worker, for machines without a graphics card.
RUN if [ "${SERVICE}" = asr-worker ]; then \
      apt-get update \
      && apt-get install -y --no-install-recommends libpocketsphinx3 pocketsphinx-en-us \
      && rm -rf /var/lib/apt/lists/*; \
    fi
# A volume that is mounted here takes over whose it is.
RUN mkdir -p /var/lib/voice-fleet/jobs && chown -R 1000:1000 /var/lib/voice-fleet
ENV NODE_ENV=production VF_SERVICE=${SERVICE}
COPY --from=build /app /app
COPY docker/healthcheck.mjs /app/healthcheck.mjs
WORKDIR /app/services/${SERVICE}
# By number, so that a cluster can see that it is not root.
USER 1000:1000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["node", "/app/healthcheck.mjs"]
# Node is process 1: the services close on SIGTERM by themselves, and start no process they do not wait for.
ENTRYPOINT ["node", "--enable-source-maps", "dist/main.js"]
