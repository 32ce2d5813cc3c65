import { bench } from './bench.ts';
import { convo } from './convo.ts';
import { type CliIo, type Command, UsageError } from './flags.ts';
import { EXIT } from './guard.ts';
import { idle } from './idle.ts';
import { jobs } from './jobs.ts';
import { loadtest } from './loadtest.ts';
import { manual } from './manual.ts';
import { remote } from './remote.ts';
import { smoke } from './smoke.ts';
import { uat } from './uat.ts';
import { voice } from './voice.ts';
import { warmup } from './warmup.ts';

const COMMANDS: Readonly<Record<string, Command>> = {
  smoke,
  warmup,
  bench,
  loadtest,
  idle,
  convo,
  remote,
  voice,
  jobs,
  manual,
  uat,
};

/** Runs one command line and returns the exit code of the process. */
export async function run(argv: readonly string[], io: CliIo): Promise<number> {
  const [name = '', ...args] = argv;
  if (name === '--help' || name === '-h' || name === 'help') {
    io.stdout(usage());
    return EXIT.ok;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    io.stderr(`${name === '' ? 'Which command?' : `There is no command "${name}".`}\n\n${usage()}`);
    return EXIT.usage;
  }
  if (args.includes('--help') || args.includes('-h')) {
    io.stdout(`${command.help}\n`);
    return EXIT.ok;
  }
  try {
    return await command.run(args, command.stopsItself ? io : endedBySigterm(io));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr(`${error.message}\nSee: npm run client -- ${name} --help\n`);
    return EXIT.usage;
  }
}

/** All that a command does ends by SIGTERM as it does by Ctrl+C. */
function endedBySigterm(io: CliIo): CliIo {
  return io.stop ? { ...io, signal: AbortSignal.any([io.signal, io.stop]) } : io;
}

function usage(): string {
  const lines = Object.entries(COMMANDS).map(
    ([name, { summary }]) => `  ${name.padEnd(8)} ${summary}\n`,
  );
  return `npm run client -- COMMAND [flags]\n\n${lines.join('')}\nEach command explains its flags with --help.\n`;
}
