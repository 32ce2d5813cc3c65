import { afterEach, describe, expect, it } from '@jest/globals';
import type { YapServerFrame } from '@voice-fleet/protocol/yap';
import { YapClient, type YapConnectOptions } from './yap-client.ts';
import {
  YapCancelled,
  YapConnectionClosed,
  YapProtocolError,
  YapRejected,
  YapServerError,
  YapTimeout,
  YapUnreachable,
} from './yap-errors.ts';
import { type FakeYapServer, type Fault, startFakeYapServer } from './yap-server.fixture.ts';

const PCM = Buffer.alloc(2560);
const WAIT_MS = 2_000;
const SHORT_MS = 200;

let server: FakeYapServer | undefined;
const clients: YapClient[] = [];

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await server?.stop();
  server = undefined;
});

async function start(fault?: Fault, apiKey?: string): Promise<FakeYapServer> {
  server = await startFakeYapServer({
    fault: () => fault,
    ...(apiKey === undefined ? {} : { apiKey }),
  });
  return server;
}

async function connect(options: Partial<YapConnectOptions> = {}): Promise<YapClient> {
  const { url } = server ?? (await start());
  const client = await YapClient.connect({ url, ...options });
  clients.push(client);
  return client;
}

describe('YapClient', () => {
  it('transcribes: tokens as they come, then final and done', async () => {
    const client = await connect();
    const seen: string[] = [];
    const utterance = client.utterance({
      onToken: (text) => seen.push(text),
      onFinal: (text) => seen.push(`final:${text}`),
      onDone: (usage) => seen.push(`done:${usage.total_tokens}`),
    });
    utterance.append(PCM);
    utterance.append(PCM);
    utterance.finalize();
    const transcript = await utterance.result(WAIT_MS);
    expect(transcript).toMatchObject({ text: ' w0 w1', finalText: ' w0 w1', droppedS: 0 });
    expect(seen).toEqual([' w0', ' w1', 'final: w0 w1', 'done:3']);
    expect(transcript.marks.tokenMs).toHaveLength(2);
  });

  it('carries a second utterance on the same connection', async () => {
    const client = await connect();
    for (const words of [' w0', ' w0 w1']) {
      const utterance = client.utterance();
      for (const _ of words.trim().split(' ')) utterance.append(PCM);
      utterance.finalize();
      expect((await utterance.result(WAIT_MS)).finalText).toBe(words);
    }
  });

  it('shows every frame, the greeting included', async () => {
    const frames: YapServerFrame[] = [];
    const client = await connect({ onFrame: (frame) => frames.push(frame) });
    await client.ping(WAIT_MS);
    expect(frames.map((frame) => frame.type)).toEqual(['session.created', 'pong']);
    expect(client.sessionId).toBe('sess-1');
  });

  it.each(['header', 'query'] as const)('sends the key in the %s', async (keyIn) => {
    const { keys } = await start(undefined, 'secret');
    await connect({ apiKey: 'secret', keyIn });
    expect(keys).toEqual(['secret']);
  });

  it('rejects a wrong key as YapRejected', async () => {
    await start(undefined, 'secret');
    const error = await connect({ apiKey: 'wrong' }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(YapRejected);
    expect(error).toMatchObject({ reason: 'auth' });
  });

  it.each([
    ['close 1013', 'capacity'],
    ['close 1008', 'auth'],
    ['close 1012', 'unavailable'],
    ['capacity frame', 'capacity'],
    ['unavailable frame', 'unavailable'],
  ] as const)('takes "%s" before the greeting for a rejection', async (fault, reason) => {
    await start(fault);
    await expect(connect()).rejects.toMatchObject({ name: 'YapRejected', reason });
  });

  it('does not wait for ever for session.created', async () => {
    await start('no session.created');
    const error = await connect({ connectTimeoutMs: SHORT_MS }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(YapTimeout);
    expect(error).toMatchObject({ awaited: 'session.created' });
  });

  it('tells a refused connection from others', async () => {
    const { url } = await start();
    await server?.stop();
    await expect(YapClient.connect({ url })).rejects.toBeInstanceOf(YapUnreachable);
  });

  it('refuses frames that are not of the dialect', async () => {
    await start('not the dialect');
    await expect(connect()).rejects.toBeInstanceOf(YapProtocolError);
  });

  it.each([
    ['engine error', YapServerError],
    ['error with unknown id', YapServerError],
    ['drop in mid utterance', YapConnectionClosed],
    ['done without final', YapProtocolError],
  ] as const)('fails the utterance at once on "%s"', async (fault, type) => {
    await start(fault);
    const utterance = (await connect()).utterance();
    utterance.append(PCM);
    utterance.finalize();
    await expect(utterance.result(WAIT_MS)).rejects.toBeInstanceOf(type);
    expect(utterance.failed.aborted).toBe(true);
  });

  it('bounds the wait for a transcript that never comes', async () => {
    await start('silence after the final commit');
    const utterance = (await connect()).utterance();
    utterance.finalize();
    await expect(utterance.result(SHORT_MS)).rejects.toBeInstanceOf(YapTimeout);
  });

  it('cancels: the utterance fails, the connection goes on', async () => {
    const client = await connect();
    const utterance = client.utterance();
    expect(await client.cancel('enough', WAIT_MS)).toBe('enough');
    await expect(utterance.result(WAIT_MS)).rejects.toBeInstanceOf(YapCancelled);
    const next = client.utterance();
    next.finalize();
    expect((await next.result(WAIT_MS)).finalText).toBe('');
  });

  it('gives up the running utterance when another starts', async () => {
    const client = await connect();
    const first = client.utterance();
    client.utterance();
    await expect(first.result(WAIT_MS)).rejects.toBeInstanceOf(YapCancelled);
  });

  it('ends orderly and refuses to send afterwards', async () => {
    const client = await connect();
    expect(await client.end(WAIT_MS)).toEqual({ code: 1000, reason: '' });
    expect(() => client.send('ping', 'p', {})).toThrow(YapConnectionClosed);
    await expect(client.ping(WAIT_MS)).rejects.toBeInstanceOf(YapConnectionClosed);
  });

  it('fails all waits with the reason of its signal and closes with 1000', async () => {
    const stop = new AbortController();
    const client = await connect({ signal: stop.signal });
    const utterance = client.utterance();
    const waiting = client.waitFor({ type: 'token', timeoutMs: WAIT_MS });
    stop.abort(new Error('Ctrl+C'));
    await expect(waiting).rejects.toThrow('Ctrl+C');
    await expect(utterance.result(WAIT_MS)).rejects.toThrow('Ctrl+C');
    expect(await client.closed).toEqual({ code: 1000, reason: '' });
  });
});
