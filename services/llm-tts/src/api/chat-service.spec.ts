import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ChatRequest } from '@voice-fleet/protocol/openai-rest';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { FakeChat } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeOpenAi } from '@voice-fleet/testkit/fake-openai/fake-openai';
import { RulesEngine } from '../llm/rules/rules.ts';
import { ChatService, type ChatServiceDeps } from './chat-service.ts';

const TIMEOUT_MS = 30_000;
const here = () => new AbortController().signal;
const asked = (over: Partial<ChatRequest> = {}): ChatRequest => ({
  model: 'tiny',
  messages: [{ role: 'user', content: 'What is two plus two?' }],
  ...over,
});

describe('a chat completion', () => {
  let chat: FakeChat;
  let openai: FakeOpenAi;
  let clock: FakeClock;
  let fallbacks: number;
  beforeEach(async () => {
    chat = new FakeChat();
    openai = await FakeOpenAi.start({ chat });
    clock = new FakeClock();
    fallbacks = 0;
  });
  afterEach(() => openai.stop());

  function service(deps: Partial<ChatServiceDeps> = {}): ChatService {
    return new ChatService({
      clock,
      aliases: new Map(),
      text: { baseUrl: `${openai.baseUrl}/`, apiKey: '', model: 'tiny' },
      audio: undefined,
      rules: new RulesEngine(clock),
      fallback: false,
      onFallback: () => {
        fallbacks += 1;
      },
      timeoutMs: TIMEOUT_MS,
      ...deps,
    });
  }

  async function textOf(parts: AsyncIterable<string>): Promise<string> {
    let text = '';
    for await (const part of parts) text += part;
    return text;
  }

  const requested = async (): Promise<void> => {
    while (chat.calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
  };

  it('that does not begin in time is given up, and its connection closed', async () => {
    chat.next({ tokens: [], fault: { kind: 'silent', headers: false } });
    const completing = service().complete(asked({ stream: true }), here());
    completing.catch(() => undefined);
    await requested();
    clock.advance(TIMEOUT_MS);
    await expect(completing).rejects.toMatchObject({ code: 'llm_timeout' });
    await chat.last.exchange.closed;
    expect(clock.pending).toBe(0);
  });

  it('that is not whole in time ends with an error, never as if it were', async () => {
    chat.next({ tokens: ['One'], fault: { kind: 'stall' } });
    const { parts } = await service().complete(asked({ stream: true }), here());
    const reading = textOf(parts);
    reading.catch(() => undefined);
    clock.advance(TIMEOUT_MS);
    await expect(reading).rejects.toMatchObject({ code: 'llm_timeout' });
    expect(clock.pending).toBe(0);
  });

  it('ends when its client goes, and so does the connection to the model', async () => {
    chat.next({ tokens: [], fault: { kind: 'silent' } });
    const client = new AbortController();
    const completing = service().complete(asked(), client.signal);
    completing.catch(() => undefined);
    await requested();
    client.abort(new Error('gone'));
    await expect(completing).rejects.toThrow('gone');
    await chat.last.exchange.closed;
    expect(clock.pending).toBe(0);
  });

  it('comes of the rules where the model fails at once, if they are to stand in', async () => {
    chat.next({ tokens: [], fault: { kind: 'error', status: 500 } });
    const completing = service({ fallback: true }).complete(asked({ stream: true }), here());
    const { parts } = await completing;
    for await (const part of parts) {
      expect(part).toContain('"model":"builtin-rules"');
      break;
    }
    expect([fallbacks, clock.pending]).toEqual([1, 0]);
    chat.next({ tokens: [], fault: { kind: 'error', status: 500 } });
    await expect(service().complete(asked(), here())).rejects.toMatchObject({ code: 'llm_failed' });
  });

  it('that brings audio is refused where nothing listens', async () => {
    const content = [
      { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' as const } },
    ];
    const request = asked({ model: 'gpt-4o', messages: [{ role: 'user', content }] });
    await expect(service().complete(request, here())).rejects.toMatchObject({
      code: 'model_not_found',
    });
    expect(chat.calls).toEqual([]);
  });
});
