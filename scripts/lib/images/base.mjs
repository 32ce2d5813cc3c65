import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execPath } from 'node:process';
import { run } from '../run.mjs';
import { build, hasImage, imagesFolder } from './buildah.mjs';

const FOLDER = join(imagesFolder, 'base');
const ROOTFS = 'rootfs.tar';
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';
const NPM = join(dirname(execPath), '../lib/node_modules/npm');

/** Debian with the Node and npm that run this, under the name of the real base: what is needed to build without a registry. */
const DOCKERFILE = `FROM scratch
ADD ${ROOTFS} /
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \\
    && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx \\
    && useradd --uid 1000 --user-group --create-home node
`;
/** Where this machine is behind a proxy with an authority of its own, so are the builds. */
const TRUST = `COPY authorities.crt ${AUTHORITIES}
ENV NODE_EXTRA_CA_CERTS=${AUTHORITIES}
`;

/** Why no stand-in for the base can be made here; undefined when it can. */
export function cannotMakeBase(has) {
  if (!has('mmdebstrap'))
    return 'mmdebstrap is not there for a base (apt-get install mmdebstrap, or --pull takes the real one)';
  if (!existsSync(NPM)) return `npm is not at ${NPM} for a base (--pull takes the real one)`;
  return undefined;
}

/** Makes the stand-in for a base once; its name. */
export async function makeBase(image) {
  const tag = `localhost/${image}`;
  if (await hasImage(tag)) return tag;
  mkdirSync(FOLDER, { recursive: true });
  const rootfs = join(FOLDER, ROOTFS);
  if (!existsSync(rootfs)) {
    const packages = '--include=ca-certificates,libstdc++6,libatomic1';
    await run('base', 'mmdebstrap', ['--variant=minbase', packages, 'bookworm', rootfs]);
  }
  cpSync(execPath, join(FOLDER, 'node'));
  cpSync(NPM, join(FOLDER, 'npm'), { recursive: true });
  const trusts = existsSync(AUTHORITIES);
  if (trusts) cpSync(AUTHORITIES, join(FOLDER, 'authorities.crt'), { dereference: true });
  const file = join(FOLDER, 'Dockerfile');
  writeFileSync(file, DOCKERFILE + (trusts ? TRUST : ''));
  await build({ name: 'base', tag, context: FOLDER, file });
  return tag;
}
