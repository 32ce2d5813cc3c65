import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '@voice-fleet/testkit/ports';
import { type Command, endCommands, startCommand, until } from './command.ts';

const KEY = 'key-of-the-gate';
const FROM_SOURCE = ['--conditions=source', '--import', 'tsx'];

let fleet: Command;
let server = '';

beforeAll(async () => {
  const port = String(await freePort());
  const env = { VOXTRAL_API_KEY: KEY, OPENAI_BASE_URL: '', OPENAI_API_KEY: '', TTS_BASE_URL: '' };
  fleet = startCommand(['scripts/start.mjs', '--no-demo', '--port', port], env);
  server = `127.0.0.1:${port}`;
  await until(() => fleet.stderr.includes('Ctrl+C stops everything'), 'ready', 90_000);
});
afterAll(async () => {
  fleet.child.kill('SIGINT');
  await until(() => fleet.child.exitCode !== null, 'stopped');
  await endCommands();
});

async function script(...args: string[]): Promise<{ code: number | null; result: unknown }> {
  const command = startCommand([...FROM_SOURCE, ...args, '--server', server, '--json'], {
    VOXTRAL_API_KEY: KEY,
  });
  const code = await command.closed;
  return { code, result: JSON.parse(command.stdout) };
}

interface Gate {
  readonly utterances: readonly {
    readonly transcript: string;
    readonly phrases: number;
    readonly failure: string | null;
    readonly latency: object | null;
  }[];
  readonly thresholds: readonly { readonly name: string; readonly pass: boolean }[];
}

describe('the fleet that npm start brings up', () => {
  it('answers five utterances of people and flite on one connection, as the gate asks (P48, P49)', async () => {
    const { result } = await script('scripts/uat.ts');
    const { utterances, thresholds } = result as Gate;
    expect(utterances).toHaveLength(5);
    for (const utterance of utterances) {
      expect(utterance).toMatchObject({ failure: null, latency: { t0: expect.any(Number) } });
      expect(utterance.transcript).toMatch(/\w+ \w+/);
      expect(utterance.phrases).toBeGreaterThan(0);
    }
    expect(utterances[4]?.transcript).toMatch(/seven plus five/);
    // How long things take is this machine's business; `npm run uat` judges that.
    const failed = thresholds.filter(({ name, pass }) => !pass && !name.includes('<'));
    expect(failed).toEqual([]);
    expect(thresholds).toHaveLength(8);
  });

  it('sends the events of a sine and silence in their order (P50)', async () => {
    const { code, result } = await script('scripts/manual-ws-client.ts');
    expect(result).toMatchObject({ ok: true, faults: [] });
    expect(code).toBe(0);
  });

  it('says the words of a recording in mode transcribe, and no more', async () => {
    const client = ['packages/client/src/cli/main.ts', 'voice', '--mode', 'transcribe'];
    const { code, result } = await script(...client);
    expect(result).toMatchObject({ ok: true, phrases: [], reply: '', outcome: 'complete' });
    expect((result as { transcript: string }).transcript).toContain('john dashwood');
    expect(code).toBe(0);
  });
});
