import type { Clock } from '@voice-fleet/runtime/clock';
import { printableUrl } from '../server-url.ts';
import { YapClient, type YapConnectOptions } from '../yap-client.ts';
import { YapTimeout } from '../yap-errors.ts';
import type { YapClose } from '../yap-socket.ts';
import { withTimeout } from '../yap-wait.ts';
import {
  CONNECTION_HELP,
  type Command,
  connectOptions,
  parseFlags,
  positive,
  seconds,
} from './flags.ts';
import { EXIT, guarded } from './guard.ts';
import { list, printJson, s } from './report.ts';

const IDLE_CLOSE_CODE = 4000;
const DEFAULT_IDLE_S = 150;
/** A close may travel, and clocks differ, this long. */
const SLACK_S = 1;

export const idle: Command = {
  summary: 'prove that the server closes a silent session with 4000',
  help: `npm run client -- idle [flags]

Connects, stays silent and waits to be closed. PASS (exit code 0) only on close code ${IDLE_CLOSE_CODE};
any other close, a refused connection, a wrong key or no close at all is FAIL (exit code 1).

  --expect-s SECONDS      the server's idle limit (default ${DEFAULT_IDLE_S}); when given, a close
                          more than ${SLACK_S} s before it fails too
  --grace-period SECONDS  how much later the close may come: the server looks at idle
                          sessions every 5 s (default 5)

${CONNECTION_HELP}`,
  run: async (args, io) => {
    const flags = parseFlags(args, {
      'expect-s': { type: 'string' },
      'grace-period': { type: 'string', default: '5' },
    });
    const connect = connectOptions(flags, io);
    const expectText = flags['expect-s'];
    const expectS = expectText === undefined ? undefined : positive(expectText, 'expect-s');
    const graceS = seconds(flags['grace-period'], 'grace-period');
    const limitS = (expectS ?? DEFAULT_IDLE_S) + graceS + SLACK_S;
    const server = printableUrl(connect.url);
    return await guarded({ server, json: flags.json, debug: flags.debug }, io, async () => {
      io.stderr(`Silent on ${server} for up to ${limitS} s\n`);
      const { close, elapsedS } = await waitForClose(connect, limitS);
      io.signal.throwIfAborted();
      const verdict = judge(close, elapsedS, expectS);
      const pass = verdict === 'PASS';
      if (flags.json) {
        const { code = null, reason = null } = close ?? {};
        printJson(io.stdout, { ok: pass, server, verdict, elapsedS, closeCode: code, reason });
      } else {
        io.stdout(
          list([
            ['Result', verdict],
            ['Elapsed', s(elapsedS)],
            ['Close code', String(close?.code ?? '(none)')],
            ['Reason', close?.reason || '(none)'],
          ]),
        );
      }
      return pass ? EXIT.ok : EXIT.failed;
    });
  },
};

/** No close at all within the limit is an answer too, not an error. */
async function waitForClose(
  connect: YapConnectOptions & { clock: Clock },
  limitS: number,
): Promise<{ close: YapClose | undefined; elapsedS: number }> {
  const { clock } = connect;
  const client = await YapClient.connect(connect);
  const createdMs = clock.now();
  try {
    const close = await withTimeout(clock, client.closed, 'the idle close', limitS * 1000);
    return { close, elapsedS: (clock.now() - createdMs) / 1000 };
  } catch (error) {
    if (!(error instanceof YapTimeout)) throw error;
    return { close: undefined, elapsedS: limitS };
  } finally {
    await client.close();
  }
}

function judge(close: YapClose | undefined, elapsedS: number, expectS: number | undefined): string {
  if (!close) return 'FAIL: the session is still open';
  if (close.code !== IDLE_CLOSE_CODE) return `FAIL: closed with ${close.code}`;
  if (expectS !== undefined && elapsedS < expectS - SLACK_S) return 'FAIL: closed too early';
  return 'PASS';
}
