import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { frames, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { AT_DONE, type Fault, type UtteranceFault } from '@voice-fleet/testkit/fake-vllm/faults';
import { codedHearing, type Hearing } from '@voice-fleet/testkit/fake-vllm/hearing';
import fc from 'fast-check';
import { until } from '../support/until.ts';
import { VllmFleet } from '../support/vllm-fleet.ts';
import type { YapSocket } from '../support/yap-socket.ts';

/** Words have numbers from here on, loud enough to be told from silence. */
const FIRST = 2_001;

/** What happens when vLLM hears a word: to its own generation, or to all that live. */
type Trouble = 'fails' | UtteranceFault | 'cut' | 'refusing' | 'slow';

const STRIKES: readonly Trouble[] = [
  'fails',
  'cut',
  'refusing',
  'slow',
  { kind: 'stall', afterDeltas: 0 },
  { kind: 'half_open', afterDeltas: 0 },
  { kind: 'processing_error', afterDeltas: 0 },
  { kind: 'frame', afterDeltas: 0, text: 'no JSON' },
  { kind: 'close', afterDeltas: 0, code: 1000 },
  { kind: 'close', afterDeltas: 0, code: 1011 },
  { kind: 'close', afterDeltas: AT_DONE, code: 1006 },
  { kind: 'no_done' },
  { kind: 'double_done' },
];

/** What one client says, and how it sends it. */
interface Speech {
  readonly said: readonly number[];
  readonly pcm: Buffer;
  readonly frameMs: number;
  readonly burst: boolean;
  readonly troubles: ReadonlyMap<number, Trouble>;
}

/** Utterances of 10 to 60 words, with repetitions and pauses, and troubles at some of the words. */
function speeches(fromWord: number): fc.Arbitrary<Speech> {
  const word = fc.record({
    repeated: fc.nat(9).map((chance) => chance === 0),
    pauseMs: fc.nat(5).chain((chance) => (chance === 0 ? fc.nat(1_500) : fc.constant(0))),
  });
  const trouble = fc.tuple(fc.nat(59), fc.constantFrom(...STRIKES));
  return fc
    .record({
      words: fc.array(word, { minLength: 10, maxLength: 60, size: 'max' }),
      leadMs: fc.nat(500),
      frameMs: fc.constantFrom(20, 37, 80, 500),
      burst: fc.boolean(),
      troubles: fc.array(trouble, { minLength: 1, maxLength: 2 }),
    })
    .map(({ words, leadMs, frameMs, burst, troubles }) => {
      const said: number[] = [];
      const parts = [silence(leadMs)];
      for (const [nth, { repeated, pauseMs }] of words.entries()) {
        const next = repeated ? (said.at(-1) ?? fromWord) : fromWord + nth;
        said.push(next);
        parts.push(speak([next]), silence(pauseMs));
      }
      const at = troubles.map(
        ([nth, what]) => [said[nth % said.length] ?? fromWord, what] as const,
      );
      return { said, pcm: Buffer.concat(parts), frameMs, burst, troubles: new Map(at) };
    });
}

let vllm: VllmFleet;
afterEach(() => vllm[Symbol.asyncDispose]());

/** Each trouble comes once, when its word is heard for the first time. */
class Troubled {
  readonly #pending: Map<number, Trouble>;

  constructor(all: readonly Speech[]) {
    this.#pending = new Map(all.flatMap(({ troubles }) => [...troubles]));
  }

  get left(): number {
    return this.#pending.size;
  }

  hearing(tokensPerWord: number): Hearing {
    const hearing = codedHearing({ tokensPerWord });
    const whole = codedHearing();
    return {
      frame: (pcm, ordinal) => {
        const text = hearing.frame(pcm, ordinal);
        const word = Number((whole.frame(pcm, ordinal) as string).slice(2));
        const trouble = this.#pending.get(word);
        this.#pending.delete(word);
        if (trouble === 'fails') throw new Error('the generation failed');
        if (trouble !== undefined) this.#cause(trouble);
        return text;
      },
    };
  }

  #cause(trouble: Exclude<Trouble, 'fails'>): void {
    const { faults } = vllm.fake;
    if (trouble === 'slow') return faults.slowDown(5);
    // In the middle of a step: after it, as the network would.
    if (trouble === 'refusing') faults.arm({ kind: 'refuse' } satisfies Fault, 2);
    if (trouble === 'cut' || trouble === 'refusing')
      return void setImmediate(() => vllm.fake.closeConnections(1006));
    faults.strike(trouble);
  }
}

async function say(client: YapSocket, id: string, speech: Speech): Promise<void> {
  client.start(id);
  for (const frame of frames(speech.pcm, speech.frameMs)) {
    client.append(id, frame);
    if (!speech.burst) await turn();
  }
  client.finalize(id);
}

describe('several sessions at once over a vLLM in trouble', () => {
  it.each([
    { seed: 1, delayMs: 80, baseMs: 0, tokensPerWord: 3, segmentS: 30, spares: 4 },
    { seed: 2, delayMs: 480, baseMs: 2, tokensPerWord: 1, segmentS: 5, spares: 1 },
    { seed: 3, delayMs: 480, baseMs: 0, tokensPerWord: 2, segmentS: 3, spares: 0 },
    { seed: 4, delayMs: 960, baseMs: 1, tokensPerWord: 2, segmentS: 8, spares: 2 },
    { seed: 5, delayMs: 2400, baseMs: 0, tokensPerWord: 1, segmentS: 5, spares: 1 },
  ])(
    'each transcript is the undisturbed one, and nothing is left behind: $delayMs ms delay, $baseMs ms steps, segments of $segmentS s (plan $seed)',
    async ({ seed, delayMs, baseMs, tokensPerWord, segmentS, spares }) => {
      const all = [0, 1, 2].map((nth) => {
        const [speech] = fc.sample(speeches(FIRST + 100 * nth), {
          numRuns: 1,
          seed: seed + 7 * nth,
        });
        if (speech === undefined) throw new Error('no speech');
        return speech;
      });
      const troubled = new Troubled(all);
      vllm = await VllmFleet.start(
        { delayMs, baseMs, hear: () => troubled.hearing(tokensPerWord) },
        {
          STT_SEGMENT_SECONDS: String(segmentS),
          STT_SEGMENT_PAUSE_SECONDS: '2',
          STT_MAX_RECOVERIES: '20',
          // More than the whole of it, so that nothing is dropped however fast it is sent.
          STT_MAX_BACKLOG_SECONDS: '120',
          VLLM_SPARE_SOCKETS: String(spares),
        },
      );
      const outcomes = await Promise.all(
        all.map(async (speech, nth) => {
          const client = await vllm.fleet.client();
          await say(client, `u${nth}`, speech);
          const { normalized_text } = (await client.next('final')).payload;
          await client.next('done');
          return { final: normalized_text, shown: client.text(`u${nth}`).trim() };
        }),
      );
      const expected = all.map(({ said }) => transcript(said));
      expect(outcomes.map(({ final }) => final)).toEqual(expected);
      expect(outcomes.map(({ shown }) => shown)).toEqual(expected);
      expect(troubled.left).toBe(0);
      vllm.fake.faults.clear();
      await until(() => vllm.fake.liveUtterances === 0, 'nothing is under way');
      await until(() => vllm.fake.openConnections === spares, 'only the spares are open');
    },
  );
});

describe('a session that is cancelled again and again', () => {
  it('leaves nothing behind, wherever the cancel comes, and is whole afterwards', async () => {
    vllm = await VllmFleet.start({ baseMs: 1 }, { VLLM_SPARE_SOCKETS: '1' });
    const client = await vllm.fleet.client();
    const troubles: Fault[] = [
      { kind: 'slow_accept', delayMs: 20 },
      { kind: 'refuse' },
      { kind: 'mute' },
      { kind: 'close', afterDeltas: 10, code: 1006 },
      { kind: 'processing_error', afterDeltas: 15 },
      { kind: 'stall', afterDeltas: 5 },
    ];
    const cancels = fc.record({ fault: fc.constantFrom(...troubles), frames: fc.nat(120) });
    for (const [nth, { fault, frames: count }] of fc
      .sample(cancels, { numRuns: 40, seed: 11 })
      .entries()) {
      vllm.fake.faults.arm(fault);
      const id = `c${nth}`;
      client.start(id);
      const said = speak(Array.from({ length: 24 }, (_, word) => FIRST + word));
      for (const frame of frames(said).slice(0, count)) {
        client.append(id, frame);
        await turn();
      }
      if (nth % 2 === 0) client.finalize(id);
      client.send('cancel', id);
      await client.settled();
    }
    vllm.fake.faults.clear();
    await until(() => vllm.fake.liveUtterances === 0, 'nothing is under way');
    await until(() => vllm.fake.openConnections === 1, 'only the spare is open');
    client.received.length = 0;
    client.say('after', speak([FIRST, FIRST + 1]));
    await until(() => client.of('after').some(({ type }) => type === 'done'), 'it is done');
    expect(client.text('after').trim()).toBe(transcript([FIRST, FIRST + 1]));
  });
});
