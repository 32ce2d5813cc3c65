import { describe, expect, it } from '@jest/globals';
import { learnServer, UNKNOWN_SERVER } from './server-facts.js';

/** A server that has these answers, and no others. */
const answers = (paths) => async (path) => paths[path];

describe('what a server says of itself', () => {
  it('makes it a fleet with all modes and a key', async () => {
    const config = { enabled: true, vad_silence_ms: 700 };
    expect(await learnServer(answers({ 'api/stream_config': config, health: {} }))).toEqual({
      kind: 'fleet',
      modes: ['voice', 'transcribe', 'chat'],
      enabled: true,
      asksForKey: true,
      config,
    });
  });

  it('tells whether streaming is switched off', async () => {
    const facts = await learnServer(answers({ 'api/stream_config': { enabled: false } }));
    expect(facts.enabled).toBe(false);
  });

  it.each([true, false])('makes it a lean one, with a model or without: %p', async (loaded) => {
    const health = { protocol: 1, model_loaded: loaded, model: 'tiny', partials: true };
    expect(await learnServer(answers({ health }))).toMatchObject({
      kind: 'lean',
      modes: ['transcribe'],
      asksForKey: false,
      enabled: loaded,
    });
  });

  it('leaves it unknown where it says nothing', async () => {
    expect(await learnServer(answers({}))).toEqual(UNKNOWN_SERVER);
  });
});
