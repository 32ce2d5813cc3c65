import { afterEach, describe, expect, it } from '@jest/globals';
import {
  frames,
  range,
  SLOT_SAMPLES,
  silence,
  speak,
  transcript,
} from '@voice-fleet/testkit/coded-speech';
import { until } from '../support/until.ts';
import { VllmFleet } from '../support/vllm-fleet.ts';
import type { YapSocket } from '../support/yap-socket.ts';

let vllm: VllmFleet;
afterEach(() => vllm[Symbol.asyncDispose]());

async function heard(client: YapSocket, id: string): Promise<string> {
  const { normalized_text } = (await client.next('final')).payload;
  await client.next('done');
  expect(client.text(id).trim()).toBe(normalized_text);
  return normalized_text;
}

/** Of every utterance vLLM was given, it saw one start, one end, and audio between. */
function expectNoTrapSprung(): void {
  const { utterancesBegun, utterancesDone, utterancesAborted, ...counters } = vllm.fake.counters;
  expect(counters).toMatchObject({ startsIgnored: 0, utterancesFailed: 0 });
  expect(utterancesBegun).toBe(utterancesDone + utterancesAborted);
  // The only error events are the answers to the fence of each connection.
  expect(counters.errors).toBe(counters.connections);
}

describe('the order that vLLM demands', () => {
  it('audio before the start of its utterance is kept from vLLM (trap 1)', async () => {
    vllm = await VllmFleet.start();
    const client = await vllm.fleet.client();
    const before = vllm.fake.counters.appends;
    client.start('a');
    await client.settled();
    expect(vllm.fake.counters.appends).toBe(before);
    client.append('a', speak([1, 2, 3]));
    client.finalize('a');
    expect(await heard(client, 'a')).toBe(transcript([1, 2, 3]));
    expectNoTrapSprung();
  });

  it('a second start amid an utterance does not reach vLLM (trap 2)', async () => {
    vllm = await VllmFleet.start();
    const client = await vllm.fleet.client();
    client.start('a');
    client.append('a', speak([1, 2]));
    client.start('a');
    client.append('a', speak([3, 4]));
    client.finalize('a');
    const text = (await client.next('final')).payload.normalized_text;
    expect(text).toBe(transcript([3, 4]));
    expectNoTrapSprung();
  });

  it('an utterance begun before the last one is done loses nothing (traps 3, 4 and 5)', async () => {
    // Slow enough that the next one always comes before the end of the last.
    vllm = await VllmFleet.start({ baseMs: 5 });
    const client = await vllm.fleet.client();
    const other = await vllm.fleet.client();
    for (let nth = 0; nth < 4; nth += 1) {
      client.say(`u${nth}`, speak(range(10 * nth + 1, 10 * nth + 4)));
      other.say(`o${nth}`, speak([100 + nth]));
      const barged = nth % 2 === 0;
      if (barged) {
        // Barge-in: the last one is cancelled, this one is whole.
        client.say(`b${nth}`, speak([7, 8, 9]));
        expect(await heard(client, `b${nth}`)).toBe(transcript([7, 8, 9]));
      } else {
        expect(await heard(client, `u${nth}`)).toBe(transcript(range(10 * nth + 1, 10 * nth + 4)));
      }
      expect(await heard(other, `o${nth}`)).toBe(transcript([100 + nth]));
    }
    expectNoTrapSprung();
  });

  it('a done that nobody asked for spoils no later utterance (trap 6)', async () => {
    vllm = await VllmFleet.start();
    const client = await vllm.fleet.client();
    vllm.fake.faults.arm({ kind: 'double_done' }, 3);
    for (const word of [1, 2, 3, 4, 5]) {
      client.say(`u${word}`, speak([word, word + 1]));
      expect(await heard(client, `u${word}`)).toBe(transcript([word, word + 1]));
    }
  });

  it('leftovers of a failed utterance prefix no other (trap 7)', async () => {
    vllm = await VllmFleet.start();
    const client = await vllm.fleet.client();
    vllm.fake.faults.arm({ kind: 'processing_error', afterDeltas: 3 }, 2);
    client.say('a', speak(range(1, 20)));
    expect(await heard(client, 'a')).toBe(transcript(range(1, 20)));
    client.say('b', speak([30]));
    expect(await heard(client, 'b')).toBe(transcript([30]));
  });

  it('a model that is refused on one connection fails that dial only (trap 8)', async () => {
    vllm = await VllmFleet.start({}, { VLLM_SPARE_SOCKETS: '0' });
    const client = await vllm.fleet.client();
    vllm.fake.faults.arm({ kind: 'model_not_found' }, 2);
    client.say('a', speak([1, 2]));
    expect(await heard(client, 'a')).toBe(transcript([1, 2]));
    expect(await vllm.fleet.workerMetrics()).toContain(
      'voice_worker_upstream_dials_total{outcome="failed"} 2',
    );
  });

  it('an empty utterance never reaches vLLM (trap 9)', async () => {
    vllm = await VllmFleet.start();
    vllm.fake.faults.arm({ kind: 'junk_delta', text: ' junk' }, 'always');
    const client = await vllm.fleet.client();
    const { utterancesBegun } = vllm.fake.counters;
    client.start('a');
    client.finalize('a');
    expect(await heard(client, 'a')).toBe('');
    expect(vllm.fake.counters.utterancesBegun).toBe(utterancesBegun);
  });

  it('a cancel ends the work on the GPU at once, and the next utterance has a spare connection (trap 10)', async () => {
    vllm = await VllmFleet.start({ baseMs: 2 });
    const client = await vllm.fleet.client();
    const { utterancesAborted } = vllm.fake.counters;
    for (let nth = 0; nth < 10; nth += 1) {
      client.start('a');
      client.append('a', speak(range(1, 10)));
      await until(() => vllm.fake.liveUtterances === 1, 'it is under way');
      client.send('cancel', 'a');
      await client.next('cancelled');
      await until(() => vllm.fake.liveUtterances === 0, 'the GPU is free');
      client.say('b', speak([nth + 1, 50]));
      expect(await heard(client, 'b').then((text) => text)).toContain('w50');
      client.received.length = 0;
    }
    expect(vllm.fake.counters.utterancesAborted - utterancesAborted).toBe(10);
    expect(await vllm.fleet.workerMetrics()).toContain(
      'voice_worker_upstream_takes_total{from="dial"} 1\n',
    );
    expectNoTrapSprung();
  });

  it('between utterances nothing is under way (trap 11)', async () => {
    vllm = await VllmFleet.start();
    const client = await vllm.fleet.client();
    client.say('a', speak([1]));
    await heard(client, 'a');
    expect(vllm.fake.liveUtterances).toBe(0);
  });
});

describe('what goes to vLLM', () => {
  it('is in appends of 40 to 100 ms, whatever the client sends', async () => {
    vllm = await VllmFleet.start();
    const client = await vllm.fleet.client();
    const said = speak(range(1, 25));
    for (const frameMs of [10, 20, 500, 10_000]) {
      const before = vllm.fake.counters.appends;
      client.start('a');
      for (const frame of frames(said, frameMs)) client.append('a', frame);
      client.finalize('a');
      expect((await client.next('final')).payload.normalized_text).toBe(transcript(range(1, 25)));
      const appends = vllm.fake.counters.appends - before;
      expect(appends).toBeLessThanOrEqual(10_000 / 40 + 1);
      expect(appends).toBeGreaterThanOrEqual(10_000 / 100);
    }
  });

  it('stays within the model length, however long the utterance (#39996)', async () => {
    vllm = await VllmFleet.start({ maxModelLen: 1_024 }, { VLLM_MAX_MODEL_LEN: '1024' });
    const client = await vllm.fleet.client();
    // Three minutes, where 77 s would kill the engine for all.
    const said = range(2_001, 2_450);
    client.start('a');
    for (const frame of frames(speak(said))) client.append('a', frame);
    client.finalize('a');
    expect((await client.next('final')).payload.normalized_text).toBe(transcript(said));
    const { usage } = (await client.next('done')).payload;
    expect(usage.prompt_tokens).toBeGreaterThanOrEqual(6 * 39);
    expect(usage.completion_tokens).toBeGreaterThan((450 * SLOT_SAMPLES) / 1_280);
    expect(vllm.fake.isEngineAlive).toBe(true);
    expectNoTrapSprung();
  });

  it('is finished while the client is mute, before the token feed dies of it (#36015)', async () => {
    vllm = await VllmFleet.start({ iterationTimeoutMs: 800 }, { STT_QUIET_SECONDS: '0.2' });
    const client = await vllm.fleet.client();
    client.start('a');
    client.append('a', speak([1, 2, 3]));
    // Shown although nobody has ended the utterance.
    await until(() => client.text('a').trim() === transcript([1, 2, 3]), 'all words are shown');
    await until(() => vllm.fake.liveUtterances === 0, 'the GPU is free');
    client.append('a', speak([4, 5]));
    client.finalize('a');
    expect(await heard(client, 'a')).toBe(transcript(range(1, 5)));
    expect(await vllm.fleet.workerMetrics()).not.toMatch(/stream_faults_total\{.*\} [1-9]/);
  });

  it('is heard again where the token feed died all the same (#35863)', async () => {
    vllm = await VllmFleet.start({ iterationTimeoutMs: 200 });
    const client = await vllm.fleet.client();
    client.start('a');
    client.append('a', speak([1, 2, 3]));
    await new Promise((resolve) => setTimeout(resolve, 400));
    client.append('a', Buffer.concat([speak(range(4, 9)), silence(200)]));
    client.finalize('a');
    expect(await heard(client, 'a')).toBe(transcript(range(1, 9)));
  });
});
