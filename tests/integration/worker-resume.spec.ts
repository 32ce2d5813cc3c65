import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import type { AsrEngine } from '@voice-fleet/asr-worker/engines/engine';
import type { RunnerSettings } from '@voice-fleet/asr-worker/transcription/utterance-runner';
import type { LinkResume, LinkWord } from '@voice-fleet/protocol/link';
import {
  frames,
  range,
  SLOT_SAMPLES,
  silence,
  speak,
  transcript,
  WORD_SAMPLES,
} from '@voice-fleet/testkit/coded-speech';
import { FakeVllm } from '@voice-fleet/testkit/fake-vllm/fake-vllm';
import { DEFAULT_MODEL } from '@voice-fleet/testkit/fake-vllm/options';
import { type LinkPeer, LinkWorker } from '../support/link-peer.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';
import { workerEngine } from '../support/worker-engine.ts';

const SECOND = 16_000;
const OVERLAP = 2 * SECOND;
const SETTINGS: Partial<RunnerSettings> = {
  plan: {
    segmentSamples: 6 * SECOND,
    pauseFromSamples: 4 * SECOND,
    overlapSamples: 0.8 * SECOND,
  },
  maxBacklogSamples: 5 * SECOND,
  recovery: { maxAttempts: 3, overlapSamples: OVERLAP, replaySamples: 30 * SECOND },
};

/** As a gateway does: keeps what another worker would have to hear, by what this one has told. */
class Gateway {
  readonly pcm: Buffer;
  readonly words: LinkWord[] = [];
  settledSample = 0;
  sentSample = 0;
  isFinal = false;
  peer: LinkPeer;
  /** What was broken of the link's promises. */
  readonly broken: string[] = [];
  readonly #ends: readonly number[];

  private constructor(peer: LinkPeer, said: readonly number[]) {
    this.peer = peer;
    this.pcm = speak(said);
    this.#ends = said.map((_, nth) => nth * SLOT_SAMPLES + WORD_SAMPLES);
    this.#listen(peer);
  }

  static async start(worker: LinkWorker, said: readonly number[]): Promise<Gateway> {
    const peer = await worker.linked('s');
    const gateway = new Gateway(peer, said);
    peer.start(1);
    return gateway;
  }

  async send(untilSample: number): Promise<void> {
    for (const frame of frames(this.pcm.subarray(this.sentSample * 2, untilSample * 2))) {
      this.peer.audio(frame);
      await turn();
    }
    this.sentSample = Math.min(untilSample, this.pcm.length / 2);
  }

  get resume(): LinkResume {
    const { settledSample: heardSample, sentSample: liveSample, words } = this;
    return { heardSample, liveSample, words: words.slice(-64) };
  }

  /** The worker is gone, and whatever it has yet to say. */
  async move(to: LinkWorker): Promise<void> {
    this.peer.onEvent = () => undefined;
    this.peer.socket.terminate();
    const fromSample = Math.max(0, this.settledSample - OVERLAP);
    const { resume } = this;
    this.peer = await to.linked('s');
    this.#listen(this.peer);
    this.peer.start(1, fromSample, resume);
    this.peer.audio(this.pcm.subarray(fromSample * 2, this.sentSample * 2));
  }

  async finish(): Promise<void> {
    this.peer.finish(1);
    await until(() => this.isFinal, 'the final');
  }

  get text(): string {
    return this.words.map(({ text }) => text).join('');
  }

  #listen(peer: LinkPeer): void {
    let acked = this.settledSample;
    peer.onEvent = (event) => {
      if (event.type === 'failed' || event.type === 'dropped') this.broken.push(event.type);
      if (event.type === 'partial' || event.type === 'final') {
        this.words.push(...event.words);
        this.settledSample = Math.max(this.settledSample, event.words.at(-1)?.endSample ?? 0);
      }
      if (event.type === 'final') this.isFinal = true;
      if (event.type !== 'ack') return;
      if (event.sample < acked) this.broken.push(`ack went back to ${event.sample}`);
      acked = event.sample;
      const due = this.#ends.filter((end) => end < event.sample).length;
      if (due > this.words.length) this.broken.push(`ack ${event.sample} before word ${due}`);
      this.settledSample = Math.max(this.settledSample, event.sample);
    };
  }
}

const SAID = range(1, 60);

async function expectWhole(gateway: Gateway, said = SAID): Promise<void> {
  await gateway.send(gateway.pcm.length / 2);
  await gateway.finish();
  expect([gateway.text, gateway.broken]).toEqual([transcript(said), []]);
  const starts = gateway.words.map(({ startSample }) => startSample);
  expect(starts).toEqual([...starts].sort((a, b) => a - b));
}

describe('an utterance that moves to another worker', () => {
  const worker = (engine: AsrEngine): Promise<LinkWorker> =>
    LinkWorker.start({ engine, settings: SETTINGS });

  it('goes on there as if nothing had been, twice', async () => {
    const engines = [new ScriptedEngine(), new ScriptedEngine(), new ScriptedEngine()];
    await using first = await worker(engines[0] as ScriptedEngine);
    await using second = await worker(engines[1] as ScriptedEngine);
    await using third = await worker(engines[2] as ScriptedEngine);
    const gateway = await Gateway.start(first, SAID);
    await gateway.send(7.77 * SECOND);
    await gateway.move(second);
    await gateway.send(13.3 * SECOND);
    await gateway.move(third);
    await expectWhole(gateway);
    expect(engines.map(({ openStreams }) => openStreams)).toEqual([0, 0, 0]);
    const moved = (one: LinkWorker, outcome: string): Promise<number> =>
      one.count(`voice_worker_resumed_utterances_total{outcome="${outcome}"}`);
    expect(await Promise.all([moved(first, 'cancelled'), moved(first, 'final')])).toEqual([0, 0]);
    expect(await Promise.all([moved(second, 'cancelled'), moved(third, 'final')])).toEqual([1, 1]);
    expect(third.lines('utterance_resumed')).toMatchObject([{ sid: 's', utterance: 1 }]);
    expect(third.log).not.toContain('w30');
  });

  it('begins acks where the other worker left off, so that the gateway need not keep more than before', async () => {
    await using first = await worker(new ScriptedEngine());
    const engine = new ScriptedEngine();
    await using second = await worker(engine);
    const gateway = await Gateway.start(first, SAID);
    await gateway.send(10 * SECOND);
    await until(() => gateway.words.length > 20, 'most words');
    const { settledSample } = gateway;
    engine.stall();
    await gateway.move(second);
    const ack = await gateway.peer.told('ack');
    expect(ack.sample).toBe(settledSample);
    engine.resume();
    await expectWhole(gateway);
  });

  it('acknowledges what is settled also while no frame comes, and nothing when that does not change', async () => {
    await using one = await worker(new ScriptedEngine());
    const peer = await one.linked('s');
    peer.start(1);
    peer.audio(Buffer.concat([speak([1]), silence(10_000)]));
    const acks = (): number[] =>
      peer.events.flatMap((event) => (event.type === 'ack' ? event.sample : []));
    await until(() => (acks().at(-1) ?? 0) >= 8 * SECOND, 'the silence is settled');
    const count = acks().length;
    peer.finish(1);
    await until(() => acks().length > count, 'the end is settled');
    expect(acks().at(-1)).toBe(SLOT_SAMPLES + 10 * SECOND);
  });

  it.each(range(0, 7))('has every word once over vLLM, cut %i times 130 ms later', async (step) => {
    await using fakes = {
      both: await Promise.all([FakeVllm.start(), FakeVllm.start()]),
      async [Symbol.asyncDispose]() {
        await Promise.all(this.both.map((fake) => fake.close()));
      },
    };
    const engines = fakes.both.map(({ httpUrl }) => {
      const env = { VLLM_BASE_URL: httpUrl, VOXTRAL_SERVED_MODEL_NAME: DEFAULT_MODEL };
      return workerEngine({ ASR_ENGINE: 'vllm', ...env }).engine;
    });
    await Promise.all(engines.map((engine) => engine.start()));
    try {
      await using first = await worker(engines[0] as AsrEngine);
      await using second = await worker(engines[1] as AsrEngine);
      const gateway = await Gateway.start(first, SAID);
      await gateway.send((9 + step * 0.13) * SECOND);
      await until(() => gateway.words.length > 10, 'some words');
      await gateway.move(second);
      await expectWhole(gateway);
    } finally {
      await Promise.all(engines.map((engine) => engine.stop()));
    }
  });
});
