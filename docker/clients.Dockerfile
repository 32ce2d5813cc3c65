# Clients for trying the fleet and putting load on it: docker build -f docker/clients.Dockerfile -t voice-fleet/clients .
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
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY turbo.json tsconfig.base.json ./
COPY packages packages
RUN TURBO_TELEMETRY_DISABLED=1 npx turbo run build --filter=@voice-fleet/client
# What was compiled, without the sources; and what is spoken when nobody names a recording.
RUN for folder in packages/*; do \
      if [ -d "${folder}/dist" ]; then \
        mkdir -p "/app/${folder}" && cp -r "${folder}/dist" "${folder}/package.json" "/app/${folder}/"; \
        if [ -d "${folder}/recordings" ]; then cp -r "${folder}/recordings" "/app/${folder}/"; fi; \
      fi; \
    done

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /src
COPY --from=manifests /src ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund --workspace=packages/client \
    && rm package.json package-lock.json \
    && find packages services -maxdepth 2 -name package.json -delete \
    && find packages services -type d -empty -delete

FROM ${NODE_IMAGE} AS init
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*

FROM ${NODE_IMAGE}
# Nothing is installed from here on. Old builders leave it to the container to make the folder it starts in.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn* /opt/yarn* \
    && mkdir /work
COPY --from=init /usr/bin/tini-static /usr/bin/tini
ENV NODE_ENV=production
COPY --from=dependencies /src /app
COPY --from=build /app /app
# Where recordings of one's own and reports are mounted.
WORKDIR /work
ARG VERSION=0.0.0-local
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="voice-fleet clients" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number, so that a cluster can see that it is not root.
USER 1000:1000
ENTRYPOINT ["/usr/bin/tini", "--", "node", "--enable-source-maps", "/app/packages/client/dist/cli/main.js"]
CMD ["--help"]
