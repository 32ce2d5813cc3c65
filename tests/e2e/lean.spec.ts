import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { freePort } from '@voice-fleet/testkit/ports';
import { LeanSocket } from '../support/lean-socket.ts';
import { type Command, endCommands, left, startCommand, until } from './command.ts';

interface Started extends Command {
  readonly port: number;
}

const CALM = { VOXTRAL_API_KEY: '', REDIS_URL: '', SERVER_BIND_HOST: '', LOG_LEVEL: '' };
const PATIENCE_MS = 90_000;

async function lean(env: NodeJS.ProcessEnv = {}, port?: number): Promise<Started> {
  const own = port ?? (await freePort());
  const command = startCommand(['scripts/lean.mjs'], { ...CALM, PORT: String(own), ...env });
  return Object.assign(command, { port: own });
}
const isUp = ({ stderr }: Command): boolean => stderr.includes('Ctrl+C stops everything');
const up = (command: Command): Promise<void> => until(() => isUp(command), 'it is up', PATIENCE_MS);
const health = async (port: number): Promise<Record<string, unknown>> =>
  (await (await fetch(`http://127.0.0.1:${port}/health`)).json()) as Record<string, unknown>;

describe('npm run lean', () => {
  afterEach(endCommands);

  it('serves a page, a socket and transcripts that it keeps, and leaves nothing behind (P53, P59, P60)', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lean-'));
    try {
      const started = await lean({ SAVE_DIR: folder, STREAM_DEBUG: '1', MODEL_WHISPER: 'tiny' });
      await up(started);
      const url = `http://127.0.0.1:${started.port}`;
      expect(await health(started.port)).toEqual({
        protocol: 1,
        model_loaded: true,
        model: 'tiny',
        partials: true,
      });
      expect(await (await fetch(url)).text()).toContain('<title>Voice fleet</title>');
      const empty = await fetch(`${url}/transcribe`, { method: 'POST' });
      expect(empty.status).toBe(400);
      const socket = new LeanSocket(`ws://127.0.0.1:${started.port}/ws`);
      await socket.send({ type: 'start' });
      await socket.send(Buffer.alloc(16_000));
      await socket.send({ type: 'stop' });
      expect((await socket.closed).code).toBe(1000);
      expect(socket.all('final_transcript')).toHaveLength(2);
      expect(socket.all('debug').map(({ event }) => event)).toContain('finalize_trigger');
      expect(readdirSync(folder)).toHaveLength(1);

      started.child.kill('SIGINT');
      expect(await started.closed).toBe(0);
      expect(left(started)).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('ends an older one on its port, with all that that has started (P60)', async () => {
    const older = await lean();
    await up(older);
    const newer = await lean({}, older.port);
    expect(await older.closed).toBe(0);
    expect(left(older)).toEqual([]);
    await up(newer);
    expect(newer.stderr).toContain(`ending the lean gateway that holds port ${older.port}`);
    expect((await health(older.port))['model_loaded']).toBe(true);
  }, 180_000);

  it('leaves whoever else holds its port alone, and says who (P60)', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const started = await lean({}, port);
    expect(await started.closed).toBe(1);
    expect(started.stderr).toContain(`Port ${port} on 127.0.0.1 is held by process ${process.pid}`);
    expect(started.stderr).toContain(`PORT=${port + 1} npm run lean`);
    expect(server.listening).toBe(true);
    server.close();
  });

  it('runs beside npm start, each on its port (P61)', async () => {
    const port = await freePort();
    const full = startCommand(['scripts/start.mjs', '--no-demo', '--port', String(port)], CALM);
    const beside = await lean();
    await Promise.all([up(full), up(beside)]);
    expect(await health(port)).toEqual({ status: 'ok', active_sessions: 0 });
    expect((await health(beside.port))['model_loaded']).toBe(true);
  }, 180_000);
});
