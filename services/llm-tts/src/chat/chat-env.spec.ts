import { describe, expect, it } from '@jest/globals';
import { parseEnv } from '@voice-fleet/runtime/env';
import { LlmTtsEnv } from '../config.ts';

const upstreamOf = (env: NodeJS.ProcessEnv) => parseEnv(LlmTtsEnv, env).chat.upstream;

describe('chatSettings', () => {
  it('has no chat model without an address, though there be a key', () => {
    expect(upstreamOf({})).toBeUndefined();
    expect(upstreamOf({ OPENAI_API_KEY: 'k', VOXTRAL_CHAT_API_KEY: 'v' })).toBeUndefined();
  });

  it('takes its own address and key before those of the language model', () => {
    const openai = { OPENAI_BASE_URL: 'http://llm/v1', OPENAI_API_KEY: 'llm-key' };
    const model = 'mistralai/Voxtral-Mini-3B-2507';
    expect(upstreamOf(openai)).toEqual({ baseUrl: 'http://llm/v1', apiKey: 'llm-key', model });
    const own = { VOXTRAL_CHAT_BASE_URL: 'http://chat/v1', VOXTRAL_CHAT_API_KEY: 'chat-key' };
    expect(upstreamOf({ ...openai, ...own })).toEqual({
      baseUrl: 'http://chat/v1',
      apiKey: 'chat-key',
      model,
    });
  });

  it('waits 60 s for a reply and hears speech from 0.005 of full scale on', () => {
    expect(parseEnv(LlmTtsEnv, {}).chat).toMatchObject({
      timeoutMs: 60_000,
      chunkTimeoutMs: 200,
      silenceRms: 0.005,
    });
  });
});
