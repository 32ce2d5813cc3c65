import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { LeaseCheck } from '@voice-fleet/fleet/lease';
import type { ServedLease } from '@voice-fleet/fleet/worker';
import { LINK_VERSION } from '@voice-fleet/protocol/link';
import { speak } from '@voice-fleet/testkit/coded-speech';
import { type LinkPeer, LinkWorker } from '../support/link-peer.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';

const SECRET = 'what-a-peer-has-sent';
const HELLO = JSON.stringify({
  type: 'hello',
  version: LINK_VERSION,
  session: 'a',
  lease: { token: 'token of a', epoch: 1, tenant: 't' },
});

describe('LinkServer', () => {
  let engine: ScriptedEngine;
  let worker: LinkWorker;
  let verify: (lease: ServedLease) => Promise<LeaseCheck>;

  beforeEach(async () => {
    engine = new ScriptedEngine();
    verify = async () => 'valid';
    worker = await LinkWorker.start({ engine, verify: (lease) => verify(lease) });
  });
  afterEach(() => worker[Symbol.asyncDispose]());

  const dial = (): Promise<LinkPeer> => worker.dial();
  const linked = (session: string): Promise<LinkPeer> => worker.linked(session);

  function begin(peer: LinkPeer, utterance: number): void {
    peer.start(utterance);
    peer.audio(speak([1, 2]));
  }

  async function speaking(session: string): Promise<LinkPeer> {
    const peer = await linked(session);
    begin(peer, 1);
    await peer.told('partial');
    return peer;
  }

  const refused = (reason: string): Promise<number> =>
    worker.count(`voice_worker_links_refused_total{reason="${reason}"}`);
  const sessions = (): string[] => worker.sessions();
  const lines = (event: string): Record<string, unknown>[] => worker.lines(event);

  it('asks whether the lease is in force for the session that the hello names', async () => {
    const asked: ServedLease[] = [];
    verify = async (lease) => {
      asked.push(lease);
      return 'valid';
    };
    const peer = await dial();
    peer.hello('a', { tenant: 't' });
    await peer.told('ready');
    expect(asked).toEqual([{ token: 'token of a', epoch: 1, sessionId: 'a', tenantId: 't' }]);
  });

  it('logs with its session why an utterance failed', async () => {
    const peer = await linked('a');
    engine.failNextWrite = true;
    begin(peer, 3);
    await peer.told('failed');
    expect(lines('engine_failed')).toMatchObject([
      { level: 'warn', sid: 'a', utterance: 3, message: 'scripted failure' },
    ]);
  });

  describe('to a peer that means no good', () => {
    it('says once that its hello is bad, and hears nothing more', async () => {
      const peer = await dial();
      for (let nth = 0; nth < 5; nth += 1) peer.send(SECRET);
      peer.hello('a');
      expect(await peer.closed).toBe(1000);
      expect(peer.events).toEqual([{ type: 'refused', reason: 'bad_hello' }]);
      expect(await refused('bad_hello')).toBe(1);
      expect(lines('link_fault')).toMatchObject([{ reason: 'bad_hello', error: 'SyntaxError' }]);
    });

    it('refuses a hello above 4 KiB without reading it', async () => {
      const peer = await dial();
      peer.send(`${' '.repeat(4_096)}${HELLO}`);
      expect(await peer.closed).not.toBe(1012);
      expect(await refused('bad_hello')).toBe(1);
      expect(lines('link_fault')).toMatchObject([{ reason: 'hello_too_large' }]);
      expect(sessions()).toEqual([]);
    });

    it('takes a hello of 4 KiB', async () => {
      const peer = await dial();
      peer.send(`${' '.repeat(4_096 - 100)}${HELLO}`);
      await peer.told('ready');
    });

    it('hangs up on the first bytes of a huge frame in place of a hello', async () => {
      const connection = once(worker.http, 'connection');
      const peer = await dial();
      const [stream] = (await connection) as [Socket];
      peer.socket.send(Buffer.alloc(8 * 1024 * 1024));
      await peer.closed;
      expect(stream.bytesRead).toBeLessThan(1024 * 1024);
      expect(await refused('bad_hello')).toBe(1);
      expect(lines('link_fault')).toMatchObject([{ reason: 'hello_too_large' }]);
    });

    it('takes one bad frame, ends the utterance at once, and hears nothing more', async () => {
      const peer = await speaking('a');
      for (let nth = 0; nth < 5; nth += 1) peer.send(`{"type":"${SECRET}"}`);
      begin(peer, 2);
      expect(await peer.closed).toBe(1002);
      expect(engine.openStreams).toBe(0);
      expect(engine.streams).toHaveLength(1);
      expect(lines('link_fault')).toMatchObject([
        { sid: 'a', reason: 'bad_frame', error: 'ZodError' },
      ]);
    });

    it('closes on a frame before ready, and says nothing more when the lease is verified', async () => {
      let answer: (check: LeaseCheck) => void = () => undefined;
      verify = () =>
        new Promise((resolve) => {
          answer = resolve;
        });
      const peer = await dial();
      peer.hello(SECRET);
      begin(peer, 1);
      expect(await peer.closed).toBe(1002);
      answer('lease_unknown');
      await new Promise((resolve) => setImmediate(resolve));
      expect([peer.events, sessions(), await refused('lease_unknown')]).toEqual([[], [], 0]);
      expect(lines('link_fault')).toMatchObject([{ reason: 'frame_before_ready' }]);
    });

    it('waits two seconds for its answer to a close, and no longer', async () => {
      const peer = await linked('a');
      peer.send(SECRET);
      peer.socket.pause();
      const took = stopwatch();
      const connections = (): Promise<number> =>
        new Promise((resolve) => worker.http.getConnections((_error, count) => resolve(count)));
      while ((await connections()) > 0) await new Promise((resolve) => setTimeout(resolve, 10));
      expect(took()).toBeLessThan(3_000);
      peer.socket.terminate();
    });

    afterEach(() => expect(worker.log).not.toContain(SECRET));
  });
});
