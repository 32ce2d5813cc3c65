import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { env, platform } from 'node:process';
import { parseArgs } from 'node:util';
import { cannotMakeBase, makeBase } from './lib/images/base.mjs';
import { build, onPath, readImage } from './lib/images/buildah.mjs';
import { IMAGES, skips, USUAL } from './lib/images/parts.mjs';
import { tryImages } from './lib/images/trial.mjs';
import { paint, say } from './lib/output.mjs';
import { repoRoot } from './lib/paths.mjs';
import { Processes } from './lib/processes.mjs';
import { untilStopped } from './lib/stop.mjs';

const HELP = `npm run check:images [-- options]

Builds the images with buildah, then runs each with a read-only root, as its own user, without a shell: services must
answer their probes and end on SIGTERM, and the clients must hear words from a fleet of these images. Needs root.
Bases are stood in for by Debian (mmdebstrap) with the Node that runs this. What this machine cannot do is printed as
skipped and counts as skipped. Everything it makes lies in .cache/images.

  --service NAME   this image only; may be repeated: ${Object.keys(IMAGES).join(', ')}
  --strict         what is skipped fails
  --pull           take the real bases, from the registry that buildah is set up for
  --json           print what came out as one JSON object on stdout
  --help           print this

Exit codes: 0 none failed, 1 one did (or was skipped, with --strict), 2 wrong usage`;

async function main(processes) {
  const options = readOptions();
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const names = options.service.length > 0 ? [...new Set(options.service)] : USUAL;
  const root = process.getuid?.() === 0;
  const skipped = skips(names, { platform, root, has: onPath, pull: options.pull, cannotMakeBase });
  const results = Object.entries(skipped).map(([name, why]) => ({ name, outcome: 'skipped', why }));
  const rest = names.filter((name) => skipped[name] === undefined);
  if (rest.length > 0) {
    const base = options.pull ? undefined : await makeBase(nodeImage());
    const built = [];
    for (const name of rest) {
      const result = await attempt(name, () => buildImage(name, base));
      if (result.outcome === 'passed') built.push(result);
      else results.push(result);
    }
    results.push(...(await tryImages(built, processes, attempt)));
  }
  return tellAll(results, options);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      service: { type: 'string', multiple: true, default: [] },
      strict: { type: 'boolean', default: false },
      pull: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const unknown = values.service.find((name) => !(name in IMAGES));
  if (unknown)
    throw new UsageError(`there is no image ${unknown}: ${Object.keys(IMAGES).join(', ')}`);
  return values;
}

/** What the person who typed the command can put right. */
class UsageError extends Error {}

/** The default of the first argument of our Dockerfiles. */
function nodeImage() {
  const source = readFileSync(join(repoRoot, 'docker/node.Dockerfile'), 'utf8');
  return /^ARG NODE_IMAGE=(\S+)$/m.exec(source)[1];
}

/** Without a base, on the real one. */
async function buildImage(name, base) {
  const { file, args: own } = IMAGES[name];
  const args = base === undefined ? own : { ...own, NODE_IMAGE: base };
  const tag = `localhost/voice-fleet/${name}:check`;
  const started = performance.now();
  await build({ name, tag, context: repoRoot, file, args, pull: base === undefined });
  const seconds = Math.round((performance.now() - started) / 1_000);
  const config = await readImage(tag);
  return { tag, config, seconds, size: config.size };
}

/** One image's outcome: what `work` gives, or why it failed. */
async function attempt(name, work) {
  try {
    return { name, outcome: 'passed', ...(await work()) };
  } catch (error) {
    return { name, outcome: 'failed', why: error.message };
  }
}

function tellAll(results, { json, strict }) {
  const count = (outcome) => results.filter((one) => one.outcome === outcome).length;
  const colours = { passed: 'green', skipped: 'yellow', failed: 'red' };
  for (const { name, outcome, why, size, seconds } of results) {
    const detail = why ?? `${size}, built in ${seconds} s`;
    say(paint(colours[outcome], `${outcome}: ${name}: ${detail}`));
  }
  const summary = { passed: count('passed'), skipped: count('skipped'), failed: count('failed') };
  say(`${summary.passed} passed, ${summary.skipped} skipped, ${summary.failed} failed`);
  if (json) {
    const images = results.map(({ name, outcome, why, size, seconds }) => ({
      name,
      outcome,
      ...(why === undefined ? { size, seconds } : { why }),
    }));
    console.log(JSON.stringify({ ...summary, images }));
  }
  return summary.failed > 0 || (strict && summary.skipped > 0) ? 1 : 0;
}

const processes = new Processes((name, line) => {
  if (env.VF_VERBOSE === '1') say(`${name}  ${line}`);
});

untilStopped(processes, () => main(processes)).then(
  async (code) => {
    await processes.stopAll();
    process.exit(code);
  },
  (error) => {
    say(paint('red', error.message));
    process.exit(error.code?.startsWith('ERR_PARSE_ARGS') || error instanceof UsageError ? 2 : 1);
  },
);
