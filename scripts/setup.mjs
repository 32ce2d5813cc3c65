import { parseArgs } from 'node:util';
import { ensureNodeModules } from './lib/node-modules.mjs';
import { say, tell } from './lib/output.mjs';
import { ensureSystem } from './lib/system.mjs';

const HELP = `npm run setup [-- options]

Installs what this machine lacks: npm packages, and from Debian a Redis server, the pocketsphinx
engine, its English model and its test recordings. npm start and npm test do the same first;
npm test also gets Chromium, in which the page is tested, and Prometheus, which tries alerts and dashboards.

  --rootless  unpack the Debian packages into .cache/debian, even if they could be installed
  --json      print where everything is as one JSON object
  --help      print this`;

async function main() {
  const { values: options } = parseArgs({
    options: {
      rootless: { type: 'boolean', default: false },
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
  if (options.json) {
    console.log(JSON.stringify({ npmCi: nodeModules.installed, ...system }, null, 2));
    return;
  }
  tell('setup', 'everything is there: `npm start` and `npm test` can run', 'green');
}

main().catch((error) => {
  say(error.message);
  process.exitCode = 1;
});
