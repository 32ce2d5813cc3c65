import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { AgentCommand, AgentOptions, ConversationItem } from '@voice-fleet/protocol/session';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { Rig, word } from './listen.fixture.ts';

const AGENT: AgentOptions = { speak: true, autoRespond: true, bargeIn: true };

const token = (text: string): TurnEvent => ({ type: 'token', text, done: text === '' });
const speech = (phrase: number, durationMs = 1_000): TurnEvent => ({
  type: 'speech',
  phrase,
  audio: `wav${phrase}`,
  sampleRate: 16_000,
  durationMs,
});
const complete = (outcome: 'spoken' | 'failed' = 'spoken'): TurnEvent => ({
  type: 'complete',
  outcome,
  tokens: 1,
  phrases: 1,
});
const item = (id: string, text: string, role: ConversationItem['role'] = 'user') => ({
  id,
  role,
  text,
  spoken: false,
  complete: true,
});

describe('a session whose utterances are answered', () => {
  let rig: Rig;
  let saidMs: number;

  beforeEach(async () => {
    rig = await Rig.open(new FakeClock());
    saidMs = 0;
    agent();
  });

  function agent(options: Partial<AgentOptions> = {}): void {
    rig.speakers({ agent: { ...AGENT, ...options }, language: 'en' });
  }
  const ask = (command: AgentCommand): void => rig.pipeline.apply(command);
  const add = (id: string, text: string, role?: ConversationItem['role']): void =>
    ask({ kind: 'add-item', item: item(id, text, role), previousId: undefined });
  const kinds = (): string[] => rig.sink.events.map(({ kind }) => kind);
  const forget = (): void => void rig.sink.events.splice(0);

  /** One utterance, from its beginning to its final. */
  async function say(text: string): Promise<void> {
    begin();
    rig.speech('ended', saidMs - 200);
    rig.final(word(text, saidMs - 400, saidMs - 200));
    await turn();
  }
  function begin(): void {
    rig.audio(600);
    saidMs += 600;
    rig.speech('started', saidMs - 500);
  }
  const last = () => {
    const script = rig.turns.at(-1);
    if (script === undefined) throw new Error('nothing was asked');
    return script;
  };
  const question = () => {
    const { text, history } = last().request;
    return [...(history ?? []).map(({ role, content }) => `${role}: ${content}`), text];
  };
  const item1 = (): string => rig.told('reply-began')[0]?.itemId ?? '';

  it('answers an utterance in tokens and speech', async () => {
    await say(' one');
    await last().say(token('Yes'), token('.'), speech(0), token(''), complete(), undefined);
    expect(rig.story().slice(4)).toEqual([
      'transcribed 1 one',
      'reply to 1',
      'Yes',
      '.',
      'speech wav0',
      'done',
      'completed Yes.',
    ]);
    expect(last().request).toMatchObject({
      ...{ tenant: 't', conversation: 'sess_1', text: 'one', history: [] },
      ...{ speak: true, live: false, language: 'en' },
    });
    const [began] = rig.told('reply-began');
    expect(began?.replyId).toMatch(/^resp_[0-9a-f]{24}$/);
    expect(rig.told('token').map(({ utteranceId }) => utteranceId)).toEqual(
      Array.from({ length: 3 }, () => began?.replyId),
    );
  });

  it('tells the model what was said before, with instructions of the client', async () => {
    agent({ instructions: 'Be brief.', voice: 'kal' });
    await say(' one');
    await last().say(token('Two.'), token(''), complete(), undefined);
    await say(' three');
    expect(question()).toEqual(['user: one', 'assistant: Two.', 'three']);
    expect(last().request).toMatchObject({ instructions: 'Be brief.', voice: 'kal' });
  });

  it('answers nothing that was not understood, and nothing unasked where the client asks', async () => {
    begin();
    rig.speech('ended', 300);
    rig.final();
    await turn();
    expect(rig.turns).toHaveLength(0);
    agent({ autoRespond: false });
    await say(' one');
    expect(rig.turns).toHaveLength(0);
    ask({ kind: 'respond', options: { instructions: 'Now.', speak: false } });
    expect(last().request).toMatchObject({ text: 'one', instructions: 'Now.', speak: false });
  });

  it('waits with an answer until the words are there', async () => {
    rig.listen({ agent: { ...AGENT, autoRespond: false } });
    rig.audio(300);
    rig.commit();
    ask({ kind: 'respond' });
    expect(rig.turns).toHaveLength(0);
    expect(rig.pipeline.busy).toBe(true);
    rig.final(word(' one', 0, 200));
    await turn();
    expect(question()).toEqual(['one']);
  });

  it('stops a reply when a speaker is heard, and answers him then', async () => {
    await say(' one');
    await last().say(token('Let'), token(' me'), speech(0));
    begin();
    expect(rig.story().slice(-2)).toEqual(['speech-began 2 at 700', 'interrupted Let me']);
    expect(last().signal.aborted).toBe(true);
    forget();
    rig.speech('ended', 1_000);
    rig.final(word(' stop', 800, 1_000));
    await turn();
    expect(question()).toEqual(['user: one', 'assistant: Let me', 'stop']);
  });

  it('lets a reply come to its end where that is asked for, and answers then what was said meanwhile', async () => {
    agent({ bargeIn: false });
    await say(' one');
    await last().say(token('Yes.'));
    await say(' two');
    expect(rig.turns).toHaveLength(1);
    await last().say(token(''), complete(), undefined);
    await turn();
    expect(rig.turns).toHaveLength(2);
    expect(rig.told('reply-ended')).toMatchObject([{ outcome: 'completed' }]);
    expect(question()).toEqual(['user: one', 'assistant: Yes.', 'two']);
  });

  it('stops a reply when the client says so, which says nothing when there is none', async () => {
    ask({ kind: 'stop-reply' });
    expect(kinds()).toEqual([]);
    await say(' one');
    await last().say(token('Yes'));
    ask({ kind: 'stop-reply' });
    expect(rig.story().at(-1)).toBe('cancelled Yes');
    expect(() => ask({ kind: 'respond' })).not.toThrow();
    expect(() => ask({ kind: 'respond' })).toThrow(new VoiceError('reply_active'));
  });

  it('tells a failure with the end of the reply, and goes on', async () => {
    await say(' one');
    await last().say(token('Y'), { type: 'error', code: 'llm_timeout', message: 'm' });
    await last().say(complete('failed'), undefined);
    expect(rig.story().at(-1)).toBe('failed Y llm_timeout');
    await say(' two');
    await last().say(new Error('gone'));
    expect(rig.story().at(-1)).toBe('failed  llm_failed');
    expect(rig.told('error')).toEqual([]);
    expect(rig.pipeline.busy).toBe(false);
  });

  it('leaves a phrase out that cannot be spoken', async () => {
    await say(' one');
    const lost: TurnEvent = { type: 'error', code: 'tts_failed', message: 'm', phrase: 0 };
    await last().say(token('Yes.'), lost, token(''), complete(), undefined);
    expect(rig.story().at(-1)).toBe('completed Yes.');
  });

  it('keeps of an item what was heard of it, by its share of the audio', async () => {
    await say(' one');
    const words = ['One', ' two', ' three', ' four'].map(token);
    await last().say(...words, speech(0, 1_500), speech(1, 500), token(''), complete(), undefined);
    ask({ kind: 'truncate-item', itemId: item1(), audioMs: 1_000 });
    ask({ kind: 'retrieve-item', itemId: item1() });
    const kept = { role: 'assistant', text: 'One two', spoken: true, complete: false };
    expect(rig.sink.events.slice(-2)).toMatchObject([
      { kind: 'item-truncated', itemId: item1(), audioMs: 1_000 },
      { kind: 'item', item: kept },
    ]);
    await say(' five');
    expect(question()).toEqual(['user: one', 'assistant: One two', 'five']);
  });

  it('stops the reply whose item is truncated', async () => {
    await say(' one');
    await last().say(token('One two three four five six seven eight'), speech(0, 300));
    ask({ kind: 'truncate-item', itemId: item1(), audioMs: 1_300 });
    expect(kinds().slice(-2)).toEqual(['reply-ended', 'item-truncated']);
    ask({ kind: 'retrieve-item', itemId: item1() });
    // 39 characters would take 2.5 s.
    expect(rig.told('item')[0]?.item.text).toBe('One two three four');
  });

  it('keeps what the client adds, where it wants it, and forgets what it deletes', () => {
    add('a', 'One.');
    add('b', 'Two.', 'assistant');
    ask({ kind: 'add-item', item: item('c', 'Be kind.', 'system'), previousId: 'root' });
    ask({ kind: 'add-item', item: item('e', 'Four.'), previousId: 'a' });
    expect(() => add('a', 'Again.')).toThrow(VoiceError);
    expect(rig.told('item-added').map(({ previousId }) => previousId)).toEqual([
      undefined,
      'a',
      undefined,
      'a',
    ]);
    add('d', 'Three?');
    ask({ kind: 'delete-item', itemId: 'b' });
    ask({ kind: 'respond' });
    expect(question()).toEqual(['system: Be kind.', 'user: One.', 'user: Four.', 'Three?']);
    for (const itemId of ['b', 'nothing'])
      expect(() => ask({ kind: 'retrieve-item', itemId })).toThrow(
        new VoiceError('item_not_found'),
      );
  });

  it('answers when nothing was said, if it is asked to', () => {
    ask({ kind: 'respond', options: { instructions: 'Greet.' } });
    expect(last().request).toMatchObject({ text: '', history: [], instructions: 'Greet.' });
    expect(rig.story()).toEqual(['reply to nothing']);
  });

  it('keeps what fits beside the question, the newest first', () => {
    for (let at = 0; at < 40; at += 1) add(`${at}`, `${at}`);
    ask({ kind: 'respond' });
    expect(question()).toHaveLength(33);
    expect(question()[0]).toBe('user: 7');
    ask({ kind: 'stop-reply' });
    add('long', 'x'.repeat(32_000));
    add('last', 'y'.repeat(1_000));
    ask({ kind: 'respond' });
    expect(question()).toEqual(['y'.repeat(1_000)]);
  });

  it('ends after finish when the last reply has', async () => {
    begin();
    rig.speech('ended', 300);
    rig.pipeline.apply({ kind: 'finish' });
    rig.final(word(' one', 100, 300));
    rig.final();
    await turn();
    expect(rig.sink.ends).toEqual([]);
    await last().say(token('Yes.'), token(''), complete(), undefined);
    expect(rig.sink.ends).toEqual([{ kind: 'ended' }]);
  });

  it('knows no such commands where nothing is answered', () => {
    rig.listen({});
    expect(() => ask({ kind: 'respond' })).toThrow(new VoiceError('unknown_message_type'));
  });

  it('leaves nothing behind when it is stopped amid a reply', async () => {
    await say(' one');
    await last().say(token('Yes'));
    forget();
    await rig.pipeline.stop();
    await rig.session.close();
    expect(last().signal.aborted).toBe(true);
    expect(kinds()).toEqual([]);
    expect(rig.clock.pending).toBe(0);
  });
});
