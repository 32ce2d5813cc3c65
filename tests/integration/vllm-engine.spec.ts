import { afterEach, describe, expect, it } from '@jest/globals';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import type { Fault } from '@voice-fleet/testkit/fake-vllm/faults';
import { until } from '../support/until.ts';
import { VllmFleet } from '../support/vllm-fleet.ts';
import type { YapSocket } from '../support/yap-socket.ts';

/** Loud enough to be told from silence. */
const SAID = range(2_001, 2_030);

let vllm: VllmFleet;
afterEach(() => vllm[Symbol.asyncDispose]());

async function final(client: YapSocket): Promise<string> {
  return (await client.next('final')).payload.normalized_text;
}

/** Both what was shown as it came and the final, which must be the same. */
async function heard(client: YapSocket, id: string): Promise<string> {
  const text = await final(client);
  await client.next('done');
  expect(client.text(id).trim()).toBe(text);
  return text;
}

async function counted(name: string): Promise<number> {
  const line = (await vllm.fleet.workerMetrics())
    .split('\n')
    .find((text) => text.startsWith(`${name} `));
  return Number(line?.split(' ')[1]);
}

describe('vLLM, when all is well', () => {
  it('transcribes utterance after utterance over one connection', async () => {
    vllm = await VllmFleet.start();
    const client = await vllm.fleet.client();
    for (const [nth, words] of [range(1, 5), range(6, 30), [31]].entries()) {
      client.say(`u${nth}`, speak(words));
      expect(await heard(client, `u${nth}`)).toBe(transcript(words));
    }
    expect(vllm.fake.counters).toMatchObject({ startsIgnored: 0, utterancesAborted: 0 });
    expect(await counted('voice_worker_upstream_takes_total{from="dial"}')).toBe(1);
  });
});

describe('a fault of vLLM amid an utterance', () => {
  const faults: [name: string, cause: string, fault: Fault][] = [
    ['no first delta', 'first_delta', { kind: 'stall', afterDeltas: 0 }],
    ['deltas that stop', 'cadence', { kind: 'stall', afterDeltas: 50 }],
    ['no done after the final', 'done', { kind: 'no_done' }],
    ['a half-open connection', 'cadence', { kind: 'half_open', afterDeltas: 60 }],
    ['close 1000', 'closed', { kind: 'close', afterDeltas: 40, code: 1000 }],
    ['close 1006', 'closed', { kind: 'close', afterDeltas: 40, code: 1006 }],
    ['close 1011', 'closed', { kind: 'close', afterDeltas: 40, code: 1011 }],
    ['close 1012', 'closed', { kind: 'close', afterDeltas: 40, code: 1012 }],
    ['processing_error', 'refused', { kind: 'processing_error', afterDeltas: 70 }],
    ['a frame that is no JSON', 'refused', { kind: 'frame', afterDeltas: 30, text: '{"type"' }],
    ['deltas without words over speech', 'blank_rut', { kind: 'blank', afterDeltas: 40 }],
  ];

  it.each(faults)('%s leaves no trace in the transcript (%s)', async (_, cause, fault) => {
    vllm = await VllmFleet.start();
    vllm.fake.faults.arm(fault);
    const client = await vllm.fleet.client();
    client.say('u', speak(SAID));
    expect(await heard(client, 'u')).toBe(transcript(SAID));
    expect(await counted(`voice_worker_stream_faults_total{cause="${cause}"}`)).toBe(1);
    expect(await counted('voice_worker_recoveries_total{outcome="recovered"}')).toBe(1);
    client.say('next', speak([1, 2]));
    expect(await heard(client, 'next')).toBe(transcript([1, 2]));
    await until(() => vllm.fake.liveUtterances === 0, 'nothing is under way');
  });
});
