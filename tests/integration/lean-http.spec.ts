import { afterEach, describe, expect, it } from '@jest/globals';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { addLean, startLean } from '../support/lean-fleet.ts';
import { faultOf, form, post, wav } from '../support/recordings.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

describe('a lean gateway over HTTP', () => {
  let fleet: Fleet;
  let gateway: number;
  afterEach(() => fleet[Symbol.asyncDispose]());

  async function start(engines: readonly ScriptedEngine[], env: Record<string, string> = {}) {
    fleet = await Fleet.start(engines);
    gateway = await addLean(fleet, env);
  }
  const get = (path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${fleet.gateways[gateway]?.port}${path}`);

  it('tells whether a model is there, and which it is called (P53)', async () => {
    await start([], { MODEL_WHISPER: 'tiny-int8' });
    const health = async (): Promise<unknown> => (await get('/health')).json();
    const facts = { protocol: 1, model: 'tiny-int8', partials: true };
    expect(await health()).toEqual({ ...facts, model_loaded: false });
    await fleet.addWorker(new ScriptedEngine({ slots: 1 }));
    await until(
      async () => ((await health()) as Record<string, unknown>)['model_loaded'] === true,
      'the model is there',
    );
    // Full is not gone.
    const socket = await startLean(fleet);
    expect(await health()).toEqual({ ...facts, model_loaded: true });
    socket.terminate();
  });

  it('transcribes a WAV without a key, and not its header (P58)', async () => {
    const engine = new ScriptedEngine();
    await start([engine]);
    const answer = await post(fleet, '/transcribe', form(wav(range(1, 3))), {
      gateway,
      headers: {},
    });
    expect([answer.status, answer.body]).toEqual([200, { transcript: transcript(range(1, 3)) }]);
    expect(engine.takenSamples).toBe(speak(range(1, 3)).length / 2);
  });

  it('answers nothing with 400, and without a model with 503 (P58)', async () => {
    await start([]);
    const options = { gateway, headers: {} };
    const empty = await post(fleet, '/transcribe', form(Buffer.alloc(0)), options);
    expect([empty.status, faultOf(empty).code]).toEqual([400, 'missing_audio']);
    const none = await post(fleet, '/transcribe', form(wav([1])), options);
    expect([none.status, faultOf(none).code]).toEqual([503, 'fleet_unavailable']);
  });

  it('has a page, whose every file is there, and nothing else (P60)', async () => {
    await start([]);
    const page = await get('/');
    expect([page.status, page.headers.get('content-type')]).toEqual([
      200,
      'text/html; charset=utf-8',
    ]);
    const html = await page.text();
    const files = Array.from(html.matchAll(/(?:href|src)="(page\/[^"]+)"/g), ([, path]) => path);
    expect(files).toHaveLength(5);
    const seen = new Set<string>();
    const follow = async (path: string): Promise<void> => {
      if (seen.has(path)) return;
      seen.add(path);
      const file = await get(`/${path}`);
      expect([path, file.status]).toEqual([path, 200]);
      const text = await file.text();
      for (const [, name] of text.matchAll(/'\.\/([\w-]+\.js)'/g)) await follow(`page/${name}`);
    };
    for (const path of files) await follow(path ?? '');
    expect([...seen]).toContain('page/worklet.js');
    expect((await get('/static/main.js')).status).toBe(200);
    for (const path of ['/static/none.js', '/static/..%2fpackage.json', '/api/stream_config'])
      expect((await get(path)).status).toBe(404);
  });
});
