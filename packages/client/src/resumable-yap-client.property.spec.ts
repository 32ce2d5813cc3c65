import { describe, expect, it } from '@jest/globals';
import type { YapServerFrame } from '@voice-fleet/protocol/yap';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import fc from 'fast-check';
import { codedPcm, codedText } from './coded-pcm.fixture.ts';
import { MemoryNet, settle } from './memory-net.fixture.ts';
import { ResumableYapClient } from './resumable-yap-client.ts';
import { ScriptedYapFleet } from './scripted-yap-fleet.fixture.ts';
import type { YapTranscript, YapUtterance } from './yap-utterance.ts';

const RUNS = 300;
const STEPS = 60;
const RESULT_MS = 600_000;

type Step =
  | { readonly do: 'append'; readonly samples: number }
  | { readonly do: 'up' | 'down'; readonly frames: number }
  /** `save`: the gateway lives, sees it, and saves; else it dies, or has not seen it yet. */
  | { readonly do: 'cut'; readonly arriving: number; readonly fate: 'save' | 'kill' | 'unseen' }
  | { readonly do: 'next' | 'finalize' | 'cancel' | 'configure' | 'ping' | 'save' | 'wait' };

const frames = fc.integer({ min: 1, max: 6 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('append'), samples: fc.nat(3000) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('up', 'down'), frames }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('cut'),
      arriving: fc.nat(3),
      fate: fc.constantFrom('save', 'kill', 'unseen'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('save') }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('next', 'finalize', 'cancel', 'configure', 'ping', 'wait'),
    }),
  },
);

/** An utterance of the caller's, and what it must come to. */
interface Spoken {
  readonly utterance: YapUtterance;
  samples: number;
  finalised: boolean;
  ended: boolean;
  outcome: Promise<YapTranscript | Error>;
  fate: 'transcript' | 'cancelled';
}

class Caller {
  readonly clock = new FakeClock();
  readonly fleet: ScriptedYapFleet;
  readonly net: MemoryNet;
  readonly frames: YapServerFrame[] = [];
  readonly spoken: Spoken[] = [];
  readonly replies: Promise<unknown>[] = [];
  client!: ResumableYapClient;

  constructor(tokenGrace: boolean) {
    this.fleet = new ScriptedYapFleet({ tokenGrace, repeats: 2 });
    this.net = new MemoryNet(this.fleet);
  }

  async connect(): Promise<void> {
    const connecting = ResumableYapClient.connect({
      urls: [new URL('ws://a/'), new URL('ws://b/')],
      clock: this.clock,
      dial: this.net.dial,
      random: () => 0,
      onFrame: (frame) => this.frames.push(frame),
    });
    await settle();
    this.net.wire.deliverDown();
    this.client = await connecting;
  }

  async run(step: Step): Promise<void> {
    const { wire } = this.net;
    const current = this.spoken.at(-1);
    const open = current && !current.ended && !current.finalised ? current : undefined;
    switch (step.do) {
      case 'append':
        if (open === undefined) break;
        open.utterance.append(codedPcm(numberOf(open), open.samples, step.samples));
        open.samples += step.samples;
        break;
      case 'finalize':
        if (open === undefined) break;
        open.utterance.finalize();
        open.finalised = true;
        break;
      case 'next':
        this.#next();
        break;
      case 'cancel':
        if (current && !current.ended) current.fate = 'cancelled';
        this.replies.push(this.client.cancel('enough', RESULT_MS));
        break;
      case 'configure':
        this.replies.push(this.client.configure(undefined, RESULT_MS));
        break;
      case 'ping':
        this.replies.push(this.client.ping(RESULT_MS));
        break;
      case 'save':
        wire.server?.save();
        break;
      case 'up':
        wire.deliverUp(step.frames);
        break;
      case 'down':
        wire.deliverDown(step.frames);
        break;
      case 'wait':
        this.clock.advance(200);
        break;
      case 'cut':
        this.#cut(step.arriving, step.fate);
    }
    await settle();
  }

  #next(): void {
    const current = this.spoken.at(-1);
    if (current && !current.ended) current.fate = 'cancelled';
    const utterance = this.client.utterance();
    const spoken: Spoken = {
      utterance,
      samples: 0,
      finalised: false,
      ended: false,
      fate: 'transcript',
      outcome: utterance.result(RESULT_MS).catch((error: Error) => error),
    };
    void spoken.outcome.then(() => {
      spoken.ended = true;
    });
    this.spoken.push(spoken);
  }

  #cut(arriving: number, fate: 'save' | 'kill' | 'unseen'): void {
    const { wire } = this.net;
    wire.deliverUp(arriving);
    if (fate === 'kill') wire.server?.kill();
    if (fate === 'save') wire.server?.lost();
    // A token that nobody got is lost for good, and its session with it: another test's business.
    const resumed = (frame: unknown): boolean => String(frame).includes('session.resumed');
    if (!this.fleet.tokenGrace && wire.toClient.some(resumed)) wire.deliverDown(1);
    wire.cut();
  }

  /** Lets everything come to its end over a network that holds. */
  async finish(): Promise<void> {
    const last = this.spoken.at(-1);
    if (last && !last.ended && !last.finalised) last.utterance.finalize();
    for (let i = 0; i < 12; i++) {
      this.clock.advance(200);
      await this.net.flow();
    }
  }
}

function numberOf({ utterance }: Spoken): number {
  return Number(utterance.requestId.split('-').at(-1));
}

async function check(tokenGrace: boolean, steps: readonly Step[]): Promise<void> {
  const caller = new Caller(tokenGrace);
  await caller.connect();
  for (const next of steps) await caller.run(next);
  await caller.finish();
  const { fleet, client, clock } = caller;

  expect(fleet.violations).toEqual([]);
  expect(fleet.refusals).toBe(0);
  for (const spoken of caller.spoken) {
    const outcome = await spoken.outcome;
    if (spoken.fate === 'cancelled') {
      expect(outcome).toMatchObject({ name: 'YapCancelled' });
      continue;
    }
    const text = codedText(spoken.samples);
    expect(outcome).toMatchObject({ text, finalText: text });
    if (spoken.samples > 0) {
      expect(fleet.arrived.get(spoken.utterance.requestId)).toBe(spoken.samples);
    }
  }
  await Promise.all(caller.replies);

  const [record] = fleet.records;
  const numbered = caller.frames.filter(({ seq }) => seq !== undefined);
  expect(numbered).toEqual(record?.frames.map((text) => JSON.parse(text)));
  expect(numbered.map(({ seq }) => seq)).toEqual(numbered.map((_, i) => i + 1));
  expect(client.continuity.acceptedSamples).toBe(record?.state.accepted);

  const ending = client.end(RESULT_MS);
  await caller.net.flow();
  expect(await ending).toEqual({ code: 1000, reason: '' });
  expect(clock.pending).toBe(0);
}

describe('ResumableYapClient under cuts at any moment', () => {
  it.each([
    ['good for one resume', false],
    ['good until the next was heard of', true],
  ])('loses, doubles and moves nothing, either way, with tokens %s', async (_name, tokenGrace) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: STEPS }), (steps) =>
        check(tokenGrace, [{ do: 'next' }, ...steps]),
      ),
      { numRuns: RUNS },
    );
  });

  it('sends audio again when it was not saved, and only then', async () => {
    const caller = new Caller(false);
    await caller.connect();
    await caller.run({ do: 'next' });
    await caller.run({ do: 'append', samples: 1000 });
    await caller.net.flow();
    await caller.run({ do: 'cut', arriving: 0, fate: 'kill' });
    await caller.net.flow();
    // Nothing was settled: all of it.
    expect(caller.fleet.resentSamples).toBe(1000);
    await caller.run({ do: 'append', samples: 9000 });
    await caller.net.flow();
    await caller.run({ do: 'cut', arriving: 0, fate: 'kill' });
    await caller.net.flow();
    // 7 tokens of 1280 samples are settled, and 2000 of them overlap.
    expect(caller.fleet.resentSamples).toBe(1000 + 10_000 - (7 * 1280 - 2000));
  });
});
