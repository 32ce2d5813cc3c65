import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { REPO, text } from '../support/docker-files.ts';
import { breaches } from '../support/dockerfile-rules.ts';

const FILES = readdirSync(join(REPO, 'docker')).filter((name) => name.endsWith('.Dockerfile'));
const CLIENTS = text('docker/clients.Dockerfile');

describe('every Dockerfile', () => {
  it('is looked at', () => {
    expect(FILES).toEqual(['clients.Dockerfile', 'node.Dockerfile', 'vllm.Dockerfile']);
  });

  it.each(FILES)('keeps the rules: %s', (name) => {
    expect(breaches(text(`docker/${name}`))).toEqual([]);
  });
});

describe('a rule of Dockerfiles', () => {
  /** The image of clients with one thing wrong. */
  function spoiled(good: string | RegExp, bad: string): string[] {
    const source = CLIENTS.replace(good, bad);
    expect(source).not.toBe(CLIENTS);
    return breaches(source);
  }

  it.each<[string, string | RegExp, string]>([
    ['syntax: line 3: ', /^ARG NODE_IMAGE/m, 'ARGH NODE_IMAGE'],
    ['syntax: ', 'WORKDIR /work', 'WORKDIR work'],
    ['user: ', 'USER 1000:1000', 'USER node'],
    ['user: ', 'USER 1000:1000', 'USER 0:1000'],
    ['user: ', 'USER 1000:1000\n', ''],
    ['base: node:latest is not pinned', 'node:20.20.2-bookworm-slim\n', 'node:latest\n'],
    ['base: node is not pinned', 'node:20.20.2-bookworm-slim\n', 'node\n'],
    ['base: mirror.example/', /^ARG NODE_IMAGE=/m, 'ARG NODE_IMAGE=mirror.example/'],
    ['digest: node:20 ', /^FROM \$\{NODE_IMAGE\}$/m, 'FROM node:20'],
    ['secrets: ', 'ARG SOURCE=', 'ARG HF_TOKEN='],
    ['secrets: ', 'NODE_ENV=production', 'NODE_ENV=production API_KEY=x'],
    ['add: ', 'COPY packages packages', 'ADD https://files.example/x.tgz /src'],
    ['copy: turbo.jsn is not there', 'COPY turbo.json', 'COPY turbo.jsn'],
    ['copy: .dockerignore keeps tests back', 'COPY packages packages', 'COPY tests packages'],
    ['copy: copies from no stage: tini', '--from=init', '--from=tini'],
    ['init: ENTRYPOINT needs a shell', /^ENTRYPOINT .*$/m, 'ENTRYPOINT node main.js'],
    ['init: must start node', '"/usr/bin/tini", "--", ', ''],
    ['init: must start node', '"--enable-source-maps", ', ''],
    ['init: holds no tini', /^COPY --from=init .*\n/m, ''],
    ['production: ', 'NODE_ENV=production', 'NODE_ENV=test'],
    ['labels: has no label revision', /^.*image\.revision.*\n/m, ''],
    ['labels: a new label', /^ENV NODE_ENV/m, 'LABEL a="b"\nENV NODE_ENV'],
    ['apt: installs packages without -y', ' --no-install-recommends', ''],
    ['apt: installs packages without apt-get update', 'apt-get update \\\n    && ', ''],
    ['apt: installs packages without rm', /^ {4}&& rm -rf \/var.*$/m, '    && true'],
    ['npm: installs what no lock says', 'npm ci --ignore', 'npm install --ignore'],
    ['npm: runs scripts', 'npm ci --ignore-scripts', 'npm ci'],
    ['npm: leaves tools', /^WORKDIR \/work/m, 'RUN npm ci --ignore-scripts\nWORKDIR /work'],
    ['order: ', 'COPY --from=manifests /src ./', 'COPY packages packages'],
    ['builder: ', 'RUN npm ci', 'RUN --mount=type=cache,target=/root/.npm npm ci'],
    ['rights: ', 'WORKDIR /work', 'RUN chmod 777 /app\nWORKDIR /work'],
  ])('tells %s of %s', (told, good, bad) => {
    expect(spoiled(good, bad)).toContainEqual(expect.stringContaining(told));
  });
});
