import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { TurnEvent, TurnRequest } from '@voice-fleet/protocol/turn';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import type { ChatMessage, LlmModel } from '../llm/engine.ts';
import type { Exchange } from '../memory/conversation.ts';
import type { SpeechEvent } from '../tts/phrase-queue.ts';
import { runTurn, type TurnEngines } from './run-turn.ts';
import { ScriptedTokens } from './scripted-tokens.fixture.ts';
import { tokenLimits } from './token-deadlines.ts';
import type { TurnSpeaker } from './turn-speaker.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Speaks when the test says so. */
class HandSpeaker implements TurnSpeaker {
  readonly pushed: string[] = [];
  hasPhrase = false;
  isFinished = false;
  isAborted = false;
  readonly #out: (SpeechEvent | undefined)[] = [];
  #wake: (() => void) | undefined;
  readonly events = this.#events();

  push(token: string): void {
    this.pushed.push(token);
    if (/[.?!]$/.test(token)) this.hasPhrase = true;
  }

  finish(): void {
    this.isFinished = true;
  }

  abort(): void {
    this.isAborted = true;
    this.tell(undefined);
  }

  /** Undefined ends. */
  tell(...events: (SpeechEvent | undefined)[]): void {
    this.#out.push(...events);
    this.#wake?.();
  }

  async *#events(): AsyncGenerator<SpeechEvent> {
    for (;;) {
      while (this.#out.length > 0) {
        const event = this.#out.shift();
        if (event === undefined) return;
        yield event;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

function setUp(request: Partial<TurnRequest> = {}, earlier: readonly ChatMessage[] = []) {
  const clock = new FakeClock();
  const tokens = new ScriptedTokens();
  const speaker = new HandSpeaker();
  const remembered: Exchange[] = [];
  const faults: unknown[] = [];
  const asked: (readonly ChatMessage[])[] = [];
  let answering: LlmModel | undefined;
  const engines: TurnEngines = {
    clock,
    limits: tokenLimits(30_000),
    systemPrompt: 'Be brief.',
    llm: {
      name: 'scripted',
      model: 'big',
      label: 'remote',
      stream(messages, _options, signal) {
        asked.push(messages);
        return tokens.open(signal);
      },
    },
    memory: {
      recall: async () => earlier,
      remember: async (_tenant, _conversation, exchange) => void remembered.push(exchange),
    },
    speech: {
      name: 'hand',
      speaker: (_request, signal) => {
        signal.addEventListener('abort', () => speaker.abort());
        return speaker;
      },
    },
  };
  const abort = new AbortController();
  const events: TurnEvent[] = [];
  const stream = runTurn(
    TurnRequest.parse({ tenant: 't', conversation: 'c', text: 'Well?', ...request }),
    engines,
    { onModel: (model) => (answering = model), onFault: (error) => faults.push(error) },
    abort.signal,
  );
  const ended = (async () => {
    for await (const event of stream) events.push(TurnEvent.parse(event));
  })();
  const told = (): string[] => events.map(brief);
  const model = (): string | undefined => answering?.model;
  return { clock, tokens, speaker, remembered, faults, asked, abort, events, ended, told, model };
}

function brief(event: TurnEvent): string {
  switch (event.type) {
    case 'token':
      return event.done ? 'done' : event.text;
    case 'speech':
    case 'phrase_done':
    case 'phrase_dropped':
      return `${event.type} ${event.phrase}`;
    case 'error':
      return event.code;
    case 'complete':
      return event.outcome;
    case 'started':
      return `started ${event.model}`;
  }
}

const phrase = (number: number): SpeechEvent[] => [
  { type: 'speech', phrase: number, audio: 'UklGRg==', sampleRate: 16_000, durationMs: 500 },
  { type: 'phrase_done', phrase: number },
];

describe('runTurn', () => {
  it('tells tokens, their end, and that it is complete, when nobody is to speak', async () => {
    const { tokens, ended, events, remembered, model } = setUp({ speak: false });
    tokens.say('Yes.', ' No.').end();
    await ended;
    expect(events).toEqual([
      { type: 'started', model: 'big' },
      { type: 'token', text: 'Yes.', done: false },
      { type: 'token', text: ' No.', done: false },
      { type: 'token', text: '', done: true },
      { type: 'complete', outcome: 'spoken', tokens: 2, phrases: 0 },
    ]);
    expect(remembered).toEqual([{ user: 'Well?', assistant: 'Yes. No.' }]);
    expect(model()).toBe('big');
  });

  it('asks with what it is told was said before, and then remembers nothing', async () => {
    const told = [
      { role: 'user', content: 'One.' },
      { role: 'assistant', content: 'Two.' },
    ] as const;
    const { tokens, ended, asked, remembered } = setUp(
      { speak: false, instructions: 'Count.', history: [...told] },
      [{ role: 'user', content: 'what is remembered' }],
    );
    tokens.say('Four.').end();
    await ended;
    expect(asked).toEqual([
      [{ role: 'system', content: 'Count.' }, ...told, { role: 'user', content: 'Well?' }],
    ]);
    expect(remembered).toEqual([]);
  });

  it('asks without a question when nothing was said', async () => {
    const { tokens, ended, asked } = setUp({ speak: false, text: '', instructions: 'Greet.' });
    tokens.say('Hello.').end();
    await ended;
    expect(asked).toEqual([[{ role: 'system', content: 'Greet.' }]]);
    expect(() => setUp({ text: '' })).toThrow('nothing is to be answered');
  });

  it('tells speech among the tokens as it comes, and waits for the last of it', async () => {
    const { tokens, speaker, ended, told, events } = setUp();
    tokens.say('Yes.');
    await settled();
    speaker.tell(...phrase(0));
    await settled();
    tokens.say(' No.').end();
    await settled();
    expect(speaker).toMatchObject({ pushed: ['Yes.', ' No.'], isFinished: true });
    expect(told().at(-1)).toBe('done');
    speaker.tell(...phrase(1), undefined);
    await ended;
    expect(told()).toEqual([
      ...['started big', 'Yes.', 'speech 0', 'phrase_done 0', ' No.', 'done'],
      ...['speech 1', 'phrase_done 1', 'spoken'],
    ]);
    expect(events[0]).toEqual({ type: 'started', model: 'big', tts: 'hand' });
    expect(events.at(-1)).toMatchObject({ tokens: 2, phrases: 2 });
  });

  it('tells the first phrase before the end of the text, however fast the model is (P26)', async () => {
    const { tokens, speaker, ended, told, remembered } = setUp();
    tokens.say('Yes.', ' No.').end();
    await settled();
    expect(told()).toEqual(['started big', 'Yes.', ' No.']);
    expect(remembered).toEqual([]);
    speaker.tell(...phrase(0), ...phrase(1), undefined);
    await ended;
    expect(told().slice(3)).toEqual([
      ...['speech 0', 'done', 'phrase_done 0', 'speech 1', 'phrase_done 1', 'spoken'],
    ]);
    expect(remembered).toHaveLength(1);
  });

  it('does not wait with the end of the text for a phrase that failed, only for a dropped one', async () => {
    const { tokens, speaker, ended, told } = setUp();
    tokens.say('Yes.', ' No.').end();
    await settled();
    speaker.tell({ type: 'phrase_dropped', phrase: 1 });
    await settled();
    expect(told().at(-1)).toBe('phrase_dropped 1');
    speaker.tell({ type: 'error', code: 'tts_timeout', message: 'late', phrase: 0 }, undefined);
    await ended;
    expect(told().slice(3)).toEqual(['phrase_dropped 1', 'tts_timeout', 'done', 'spoken']);
  });

  it('tells the end of the text also when all speech was lost', async () => {
    const { tokens, speaker, ended, told } = setUp();
    tokens.say('Yes.').end();
    await settled();
    speaker.tell({ type: 'phrase_dropped', phrase: 0 }, undefined);
    await ended;
    expect(told().slice(2)).toEqual(['phrase_dropped 0', 'done', 'spoken']);
  });

  it('asks with the prompt, what was said before and the text: ten messages at the most (P24)', async () => {
    const earlier = Array.from({ length: 5 }, (_, turn): ChatMessage[] => [
      { role: 'user', content: `question ${turn}` },
      { role: 'assistant', content: `answer ${turn}` },
    ]).flat();
    const { tokens, ended, asked } = setUp({ speak: false }, earlier);
    tokens.say('Yes.').end();
    await ended;
    expect(asked[0]).toEqual([
      { role: 'system', content: 'Be brief.' },
      ...earlier.slice(2),
      { role: 'user', content: 'Well?' },
    ]);
    expect(asked[0]).toHaveLength(10);
  });

  it.each([
    ['fails', (tokens: ScriptedTokens) => tokens.fail(new VoiceError('llm_failed'))],
    ['breaks in a way nobody thought of', (tokens: ScriptedTokens) => tokens.fail(new Error('?'))],
  ])(
    'fails with its model that %s: no end of text, no speech after, no memory',
    async (_what, act) => {
      const { tokens, speaker, ended, told, remembered, faults } = setUp();
      tokens.say('Yes.');
      await settled();
      act(tokens);
      speaker.tell(...phrase(0));
      await ended;
      expect(told().slice(-2)).toEqual(['llm_failed', 'failed']);
      expect(told()).not.toContain('done');
      expect([speaker.isAborted, speaker.isFinished]).toEqual([true, false]);
      expect([remembered, faults.length]).toEqual([[], 1]);
    },
  );

  it('fails with llm_timeout when no token comes in time, and says whose (P20)', async () => {
    const { clock, tokens, speaker, ended, told } = setUp();
    await settled();
    clock.advance(5_000);
    await ended;
    expect(told()).toEqual(['started big', 'llm_timeout', 'failed']);
    expect(tokens.aborted).toBeDefined();
    expect(speaker.isAborted).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('fails when the model ends without a word, and when it does not end', async () => {
    const empty = setUp();
    empty.tokens.end();
    await empty.ended;
    expect(empty.told()).toEqual(['started big', 'llm_failed', 'failed']);

    const endless = setUp({ speak: false });
    endless.tokens.say('x'.repeat(40_000), 'y'.repeat(40_000));
    await endless.ended;
    // What is too much is told to nobody.
    expect(endless.told().join()).not.toContain('y');
    expect(endless.told().slice(-2)).toEqual(['llm_failed', 'failed']);
    expect(endless.tokens.aborted).toBeDefined();
  });

  it('ends at once and quietly when it is aborted amid the tokens: nothing is remembered (P33)', async () => {
    const { tokens, speaker, abort, ended, told, remembered, clock } = setUp();
    tokens.say('Yes.');
    await settled();
    abort.abort(new Error('the client has gone'));
    await ended;
    expect(told()).toEqual(['started big', 'Yes.']);
    expect([remembered, speaker.isAborted, clock.pending]).toEqual([[], true, 0]);
    expect(tokens.aborted).toBeDefined();
  });

  it('remembers nothing of a turn that is aborted while the end of its text is held', async () => {
    const { tokens, abort, ended, told, remembered } = setUp();
    tokens.say('Yes.', ' No.').end();
    await settled();
    abort.abort(new Error('the client has gone'));
    await ended;
    expect([told().includes('done'), remembered]).toEqual([false, []]);
  });

  it('keeps the memory of a turn whose speech alone is aborted', async () => {
    const { tokens, speaker, abort, ended, told, remembered } = setUp();
    tokens.say('Yes.', ' No.').end();
    await settled();
    speaker.tell(...phrase(0));
    await settled();
    abort.abort(new Error('barge-in'));
    await ended;
    expect(told().at(-1)).toBe('phrase_done 0');
    expect(remembered).toHaveLength(1);
  });

  it('asks nobody when it was aborted before it began', async () => {
    const { abort, ended, asked, told } = setUp();
    abort.abort(new Error('gone'));
    await ended;
    expect([asked, told()]).toEqual([[], []]);
  });
});
