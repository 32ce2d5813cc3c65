import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { eachLine, paint, tell } from './output.mjs';

/** Runs one installing command, its lines shown under `name`; throws with the last lines when it fails. */
export async function run(name, command, args, options = {}) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const lastLines = [];
  for (const stream of [child.stdout, child.stderr]) {
    eachLine(stream, (line) => {
      lastLines.push(line);
      if (lastLines.length > 12) lastLines.shift();
      tell(name, paint('dim', line));
    });
  }
  const [code] = await once(child, 'close');
  if (code !== 0) {
    throw new Error(`\`${command} ${args.join(' ')}\` failed (${code}): ${lastLines.join('\n')}`);
  }
}
