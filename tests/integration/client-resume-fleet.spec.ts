import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type Cut, startCuttingProxy } from '@voice-fleet/client/cutting-proxy.fixture';
import { ResumableYapClient } from '@voice-fleet/client/resumable-yap-client';
import { YAP_PATH } from '@voice-fleet/protocol/yap';
import { frames, range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import fc from 'fast-check';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

const WAIT_MS = 20_000;
const said = speak(range(1, 12));
let fleet: Fleet;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  fleet = await Fleet.start([new ScriptedEngine()]);
  await fleet.addGateway();
  await until(async () => (await fleet.get('/readyz', 1)).status === 200, 'the gateway is ready');
});
afterAll(() => fleet[Symbol.asyncDispose]());
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function through(gateway: number, cuts: Cut[]): Promise<URL> {
  const port = fleet.gateways[gateway]?.port;
  const proxy = await startCuttingProxy(new URL(`ws://127.0.0.1:${port}${YAP_PATH}`), cuts);
  cleanups.push(() => proxy.stop());
  return proxy.url;
}

async function dial(urls: URL[]): Promise<ResumableYapClient> {
  const client = await ResumableYapClient.connect({ urls, apiKey: KEY });
  cleanups.push(() => client.close());
  return client;
}

describe('the resumable client at real gateways', () => {
  it('loses and doubles no word when connections break at any byte, now here, now there', async () => {
    const cut = fc.record({
      side: fc.constantFrom('client' as const, 'server' as const),
      bytes: fc.integer({ min: 1, max: 60_000 }),
    });
    let resumes = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(cut, { minLength: 1, maxLength: 4 }), async (cuts) => {
        const first = { side: 'client', bytes: 30_000 + (cuts[0]?.bytes ?? 0) } as const;
        const here = [first, ...cuts.filter((_, i) => i % 2 === 1)];
        const there = cuts.filter((_, i) => i % 2 === 0);
        const client = await dial([await through(0, here), await through(1, there)]);
        for (let i = 0; i < 2; i++) {
          const utterance = client.utterance();
          for (const frame of frames(said)) {
            utterance.append(frame);
            await new Promise((resolve) => setImmediate(resolve));
          }
          utterance.finalize();
          const { text, finalText } = await utterance.result(WAIT_MS);
          expect([text, finalText]).toEqual(Array(2).fill(transcript(range(1, 12))));
        }
        await client.ping();
        await until(
          () => client.continuity.acceptedSamples === said.length,
          'all audio of two utterances is recorded, once',
        );
        resumes += client.continuity.resumes;
        await client.end();
      }),
      { numRuns: 10 },
    );
    expect(resumes).toBeGreaterThanOrEqual(10);
  });
});
