import { fleetEnv } from '@voice-fleet/fleet/env';
import { connectRedis, RedisUnavailable, untilReady } from '@voice-fleet/fleet/redis';
import { TenantError } from '@voice-fleet/fleet/tenants/tenant-error';
import { TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { systemClock } from '@voice-fleet/runtime/clock';
import { ConfigError, parseEnv } from '@voice-fleet/runtime/env';
import { z } from 'zod';
import { ADMIN_COMMANDS, type AdminCommand, type Said } from './admin-commands.ts';
import { readFlags, UsageError } from './admin-flags.ts';

const EXIT = { ok: 0, failed: 1, usage: 2 } as const;
const CONNECT_TIMEOUT_MS = 5_000;
const AdminEnv = z.object({ REDIS_URL: fleetEnv.REDIS_URL });

/** What the command needs from the process around it. */
export interface AdminIo {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly env: NodeJS.ProcessEnv;
}

/** Runs one command line and returns the exit code of the process. */
export async function runAdmin(argv: readonly string[], io: AdminIo): Promise<number> {
  try {
    return await runCommand(argv, io);
  } catch (error) {
    if (error instanceof UsageError) {
      io.stderr(`${error.message}\nSee: npm run admin -- --help\n`);
      return EXIT.usage;
    }
    const sentence = explain(error, io.env);
    io.stderr(`${sentence}\n`);
    if (argv.includes('--json')) io.stdout(`${JSON.stringify({ ok: false, error: sentence })}\n`);
    return EXIT.failed;
  }
}

async function runCommand(argv: readonly string[], io: AdminIo): Promise<number> {
  const [group = '', verb = '', ...args] = argv;
  if (['--help', '-h', 'help'].includes(group)) {
    io.stdout(help());
    return EXIT.ok;
  }
  const name = `${group} ${verb}`;
  const command = Object.hasOwn(ADMIN_COMMANDS, name) ? ADMIN_COMMANDS[name] : undefined;
  if (command === undefined) {
    const ofGroup = Object.keys(ADMIN_COMMANDS).some((one) => one.startsWith(`${group} `));
    if (ofGroup && ['', '--help', '-h'].includes(verb)) {
      io.stdout(help());
      return verb === '' ? EXIT.usage : EXIT.ok;
    }
    throw new UsageError(group === '' ? 'Which command?' : `There is no command "${name.trim()}".`);
  }
  const { flags, words } = readFlags(args, command.flags, command.words);
  if (flags['help']) {
    io.stdout(`${usageOf(name, command)}\n${command.summary}\n`);
    return EXIT.ok;
  }
  const said = await withStore(io.env, (store) => command.run(store, words, flags));
  io.stdout(flags['json'] ? `${JSON.stringify(said.json)}\n` : said.text);
  return EXIT.ok;
}

async function withStore(
  env: NodeJS.ProcessEnv,
  act: (store: TenantStore) => Promise<Said>,
): Promise<Said> {
  // A person waits: the first failure counts, and silence for so long is one.
  const failed = new AbortController();
  const redis = connectRedis(parseEnv(AdminEnv, env).REDIS_URL, {
    onError: (error) => failed.abort(error),
  });
  const late = systemClock.after(CONNECT_TIMEOUT_MS, () => failed.abort(new Error('no answer')));
  try {
    await untilReady(redis, failed.signal).catch((error: unknown) => {
      throw new RedisUnavailable(error);
    });
    return await act(new TenantStore(redis));
  } finally {
    late.cancel();
    redis.disconnect();
  }
}

function explain(error: unknown, env: NodeJS.ProcessEnv): string {
  if (error instanceof TenantError) return sentence(error.message);
  if (error instanceof ConfigError)
    return sentence(error.faults.map((fault) => `${fault.variable} ${fault.message}`).join('; '));
  if (error instanceof RedisUnavailable)
    return `Redis at ${addressOf(env)} cannot be used: ${error.cause instanceof Error ? error.cause.message : 'no answer'}. Set REDIS_URL.`;
  return `That failed: ${error instanceof Error ? error.message : String(error)}`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** Without user and password. */
function addressOf(env: NodeJS.ProcessEnv): string {
  const url = new URL(parseEnv(AdminEnv, env).REDIS_URL);
  return `${url.protocol}//${url.host}`;
}

function usageOf(name: string, { words, flags }: AdminCommand): string {
  const named = Object.entries(flags).map(([flag, { type }]) =>
    type === 'string' ? `[--${flag} …]` : `[--${flag}]`,
  );
  return ['npm run admin --', name, ...words, ...named, '[--json]'].join(' ');
}

function help(): string {
  const lines = Object.entries(ADMIN_COMMANDS).map(
    ([name, { words, summary }]) => `  ${[name, ...words].join(' ').padEnd(24)} ${summary}\n`,
  );
  return `npm run admin -- COMMAND [flags]

${lines.join('')}
Works on the Redis of REDIS_URL (default redis://127.0.0.1:6379); no gateway is needed. --json prints one JSON object.
A command explains its flags with --help. Exit codes: 0 done, 1 failed, 2 wrong usage.
`;
}
