import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TlsDoor } from '@voice-fleet/gateway/http/tls-door';
import { createLogger } from '@voice-fleet/telemetry/logger';
import { selfSignedCertificate } from '@voice-fleet/testkit/certificate';
import { speak } from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { WebSocket } from 'ws';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const CHECK_MS = 60_000;
/** Serial number of the certificate shown, and the answer. */
interface Answer {
  readonly serial: string;
  readonly status: number | undefined;
}

describe('the public port with TLS', () => {
  let folder: string;
  let files: { certFile: string; keyFile: string };
  let ca: string;

  const write = async (): Promise<string> => {
    const { cert, key } = await selfSignedCertificate();
    writeFileSync(files.certFile, cert);
    writeFileSync(files.keyFile, key);
    return cert;
  };
  const get = (port: number, path: string, trusted: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path, ca: trusted, agent: false });
      asked.on('response', (response) => {
        const { serialNumber } = (response.socket as TLSSocket).getPeerCertificate();
        response.resume();
        resolve({ serial: serialNumber, status: response.statusCode });
      });
      asked.on('error', reject);
      asked.end();
    });

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tls-'));
    files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
    ca = await write();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('serves requests and sessions as the plain one does', async () => {
    await using fleet = await Fleet.start([new ScriptedEngine()], {
      TLS_CERT_FILE: files.certFile,
      TLS_KEY_FILE: files.keyFile,
      TLS_PORT: '0',
    });
    const port = fleet.gateways[0]?.tlsPort ?? 0;
    expect((await get(port, '/readyz', ca)).status).toBe(200);
    expect((await get(port, '/nowhere', ca)).status).toBe(404);

    const url = `wss://127.0.0.1:${port}/api/asr-streaming?api_key=${KEY}`;
    const socket = new WebSocket(url, { ca });
    const frames: { type: string; payload: { normalized_text?: string } }[] = [];
    socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString())));
    await until(() => frames.length === 1, 'the greeting');
    const send = (type: string, payload: object): void =>
      socket.send(JSON.stringify({ type, session_id: 's', request_id: 'u', payload }));
    send('input_audio_buffer.commit', { final: false });
    send('input_audio_buffer.append', { audio: speak([7, 8]).toString('base64') });
    send('input_audio_buffer.commit', { final: true });
    await until(() => frames.some(({ type }) => type === 'done'), 'the transcript');
    const final = frames.find(({ type }) => type === 'final');
    expect(final?.payload.normalized_text?.trim()).toBe('w7 w8');
    socket.close();
    await once(socket, 'close');

    const refused = new WebSocket(`wss://127.0.0.1:${port}/nowhere`, { ca });
    const [error] = (await once(refused, 'error')) as [Error];
    expect(error.message).toContain('404');
  });

  it('takes up a renewed certificate, and keeps the old one when the new one is of no use', async () => {
    const http = createServer((_, response) => response.end('here'));
    await once(http.listen(0, '127.0.0.1'), 'listening');
    const clock = new FakeClock();
    const lines: string[] = [];
    const log = createLogger('gateway', 'info', { write: (line: string) => void lines.push(line) });
    const options = {
      ...files,
      port: 0,
      host: '127.0.0.1',
      headersTimeoutMs: 5_000,
      uploadTimeoutMs: 60_000,
      clock,
      log,
    };
    const door = await TlsDoor.open(http, options);
    try {
      const first = await get(door.port, '/', ca);
      const logged = (event: string): boolean => lines.some((line) => line.includes(event));

      writeFileSync(files.certFile, 'no certificate at all');
      clock.advance(CHECK_MS);
      await until(() => logged('certificate_unusable'), 'the fault is logged');
      expect(await get(door.port, '/', ca)).toEqual(first);

      const renewed = await write();
      clock.advance(CHECK_MS);
      await until(() => logged('certificate_renewed'), 'the renewal is logged');
      const second = await get(door.port, '/', renewed);
      expect(second.status).toBe(200);
      expect(second.serial).not.toBe(first.serial);
    } finally {
      door.close();
      http.close();
    }
    expect(clock.pending).toBe(0);
    expect((http.address() as AddressInfo | null)?.port).toBeUndefined();
  });

  it('does not open without its files', async () => {
    const clock = new FakeClock();
    const log = createLogger('gateway', 'error', { write: () => undefined });
    const options = {
      ...files,
      port: 0,
      host: '127.0.0.1',
      headersTimeoutMs: 5_000,
      uploadTimeoutMs: 60_000,
      clock,
      log,
    };
    const certFile = join(folder, 'none.pem');
    await expect(TlsDoor.open(createServer(), { ...options, certFile })).rejects.toThrow(
      'none.pem',
    );
    expect(clock.pending).toBe(0);
  });
});
