import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import type { EngineStream } from '@voice-fleet/asr-worker/engines/engine';
import { frames, range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { type LinkPeer, LinkWorker } from '../support/link-peer.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';

const SECOND = 16_000;
const PERMITS = 2;

/** Takes a piece of audio only when the test says so. */
class GatedEngine extends ScriptedEngine {
  /** Streams whose piece waits to be taken, by the first word they ever got. */
  readonly offered = new Map<string, () => void>();

  override open(): EngineStream {
    const stream = super.open();
    const write = stream.write.bind(stream);
    let name: string | undefined;
    return Object.defineProperty(stream, 'write', {
      value: async (pcm: Buffer) => {
        name ??= `w${pcm.readInt16LE(0)}`;
        const key = name;
        await new Promise<void>((resolve) => this.offered.set(key, resolve));
        await write(pcm);
      },
    });
  }

  take(name: string): void {
    const release = this.offered.get(name);
    this.offered.delete(name);
    release?.();
  }
}

/** Lets promises and local sockets get on with what they have. */
async function settle(): Promise<void> {
  for (let round = 0; round < 10; round += 1) await turn();
}

describe('a worker to which many utterances move at once', () => {
  it('lets few of them catch up at a time, in the order they came, and all live ones at any time', async () => {
    const clock = new FakeClock();
    const engine = new GatedEngine({ slots: 16 });
    const settings = { maxBacklogSamples: 5 * SECOND };
    await using worker = await LinkWorker.start({
      engine,
      clock,
      settings,
      permits: () => PERMITS,
    });
    const live = await Promise.all(['l1', 'l2'].map((session) => worker.linked(session)));
    const moved: LinkPeer[] = [];
    // 5 s each, of words that tell which one it is.
    const wordsOf = (nth: number): number[] => range(1_000 * (nth + 1), 1_000 * (nth + 1) + 12);
    for (let nth = 0; nth < 6; nth += 1) {
      const peer = await worker.linked(`m${nth}`);
      const pcm = speak(wordsOf(nth));
      peer.start(1, 0, { heardSample: 0, liveSample: pcm.length / 2, words: [] });
      peer.audio(pcm);
      peer.finish(1);
      await peer.heard();
      moved.push(peer);
    }
    const finished: string[] = [];
    for (const [nth, peer] of moved.entries())
      peer.onEvent = ({ type }) => {
        if (type === 'final') finished.push(`w${1_000 * (nth + 1)}`);
      };
    for (const [nth, peer] of live.entries()) {
      peer.start(1);
      peer.audio(frames(speak([nth + 1]))[0] as Buffer);
      await peer.heard();
    }
    await settle();
    expect([...engine.offered.keys()]).toEqual(['w1000', 'w2000', 'w1', 'w2']);
    expect(await worker.count('voice_worker_catch_up_active')).toBe(PERMITS);
    expect(await worker.count('voice_worker_catch_up_waiting')).toBe(4);

    const begun: string[] = [];
    let rounds = 0;
    for (; finished.length < 6; rounds += 1) {
      const offered = [...engine.offered.keys()];
      const replaying = offered.filter((name) => name.length > 2);
      for (const name of replaying) if (!begun.includes(name)) begun.push(name);
      // One that has less than half a second left is in time again, and lets the next one go beside it.
      const behind = replaying.filter((name) => !nearlyDone(engine, name));
      expect(behind.length).toBeLessThanOrEqual(PERMITS);
      // The live ones are never kept waiting: each frame of theirs is offered at once.
      for (const [nth, peer] of live.entries()) {
        engine.take(`w${nth + 1}`);
        peer.audio(frames(speak([nth + 1]))[1] as Buffer);
        await peer.heard();
      }
      await settle();
      expect(engine.offered.has('w1') && engine.offered.has('w2')).toBe(true);
      for (const name of replaying) engine.take(name);
      await settle();
      if (rounds > 1_000) throw new Error('they never catch up');
    }
    expect(begun).toEqual(['w1000', 'w2000', 'w3000', 'w4000', 'w5000', 'w6000']);
    expect(finished).toEqual(begun);
    for (const [nth, peer] of moved.entries())
      expect(peer.words.map(({ text }) => text).join('')).toBe(transcript(wordsOf(nth)));
    expect(await worker.count('voice_worker_catch_up_active')).toBe(0);
    expect(await worker.count('voice_worker_catch_up_duration_seconds_count')).toBe(6);
    expect(await worker.count('voice_worker_resumed_utterances_total{outcome="final"}')).toBe(6);
    expect(await worker.count('voice_worker_dropped_audio_seconds_total')).toBe(0);
  });

  it('does not let one whose engine takes nothing keep the others; its turn comes again', async () => {
    const clock = new FakeClock();
    const engine = new GatedEngine({ slots: 16 });
    const settings = { maxBacklogSamples: 5 * SECOND, finishTimeoutMs: 60_000 };
    await using worker = await LinkWorker.start({ engine, clock, settings, permits: () => 1 });
    const peers: LinkPeer[] = [];
    for (const word of [1_000, 2_000]) {
      const peer = await worker.linked(`m${word}`);
      peer.start(1, 0, { heardSample: 0, liveSample: 2 * SECOND, words: [] });
      peer.audio(speak(range(word, word + 4)));
      peer.finish(1);
      await peer.heard();
      peers.push(peer);
    }
    await settle();
    expect([...engine.offered.keys()]).toEqual(['w1000']);
    clock.advance(5_000);
    await settle();
    expect([...engine.offered.keys()]).toEqual(['w1000', 'w2000']);
    // The first comes back to life: it has to wait until the second has caught up, or its time is over.
    engine.take('w1000');
    await settle();
    expect([...engine.offered.keys()]).toEqual(['w2000']);
    while (!peers[1]?.events.some(({ type }) => type === 'final')) {
      engine.take('w2000');
      engine.take('w1000');
      await settle();
    }
    while (!peers[0]?.events.some(({ type }) => type === 'final')) {
      engine.take('w1000');
      await settle();
    }
    expect(peers.map((peer) => peer.words.length)).toEqual([5, 5]);
  });

  it('sends one whose stream fails to the back, where it hears everything again', async () => {
    const clock = new FakeClock();
    const engine = new GatedEngine({ slots: 16 });
    const recovery = { maxAttempts: 3, overlapSamples: 2 * SECOND, replaySamples: 30 * SECOND };
    const settings = { recovery };
    await using worker = await LinkWorker.start({ engine, clock, settings, permits: () => 1 });
    const peers: LinkPeer[] = [];
    for (const word of [1_000, 2_000]) {
      const peer = await worker.linked(`m${word}`);
      peer.start(1, 0, { heardSample: 0, liveSample: 2 * SECOND, words: [] });
      peer.audio(speak(range(word, word + 4)));
      peer.finish(1);
      await peer.heard();
      peers.push(peer);
    }
    await settle();
    engine.failNextWrite = true;
    engine.take('w1000');
    await settle();
    expect([...engine.offered.keys()]).toEqual(['w2000']);
    while (peers.some((peer) => !peer.events.some(({ type }) => type === 'final'))) {
      for (const name of [...engine.offered.keys()]) engine.take(name);
      await settle();
    }
    expect(peers.map((peer) => peer.words.map(({ text }) => text).join(''))).toEqual([
      transcript(range(1_000, 1_004)),
      transcript(range(2_000, 2_004)),
    ]);
  });

  it('gives the turn of one that is cancelled, or whose gateway has died, to the next', async () => {
    const clock = new FakeClock();
    const engine = new GatedEngine({ slots: 16 });
    await using worker = await LinkWorker.start({ engine, clock, permits: () => 1 });
    const peers: LinkPeer[] = [];
    for (const word of [1_000, 2_000, 3_000, 4_000]) {
      const peer = await worker.linked(`m${word}`);
      peer.start(1, 0, { heardSample: 0, liveSample: 2 * SECOND, words: [] });
      peer.audio(speak(range(word, word + 4)));
      await peer.heard();
      peers.push(peer);
    }
    await settle();
    expect([...engine.offered.keys()]).toEqual(['w1000']);
    expect(await worker.count('voice_worker_catch_up_waiting')).toBe(3);
    for (const nth of [3, 0]) {
      peers[nth]?.send({ type: 'cancel', utterance: 1 });
      await peers[nth]?.heard();
      await settle();
      expect(await worker.count('voice_worker_catch_up_waiting')).toBe(nth === 3 ? 2 : 1);
    }
    expect([...engine.offered.keys()]).toEqual(['w1000', 'w2000']);
    peers[1]?.socket.terminate();
    while (engine.offered.size < 3) await turn();
    expect([...engine.offered.keys()]).toEqual(['w1000', 'w2000', 'w3000']);
    expect(await worker.count('voice_worker_catch_up_waiting')).toBe(0);
  });
});

/** Whether less than half a second of the 5.2 s of this stream is left. */
function nearlyDone(engine: GatedEngine, name: string): boolean {
  const nth = Number(name.slice(1)) / 1_000 - 1;
  return (engine.streams[nth]?.samples ?? 0) > 5.2 * SECOND - 0.5 * SECOND;
}
