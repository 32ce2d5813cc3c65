import { afterEach, describe, expect, it } from '@jest/globals';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import { rmsDbfs } from '@voice-fleet/speech/level';
import { readWav } from '@voice-fleet/speech/wav';
import { tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeSpeech, toneFor } from '@voice-fleet/testkit/fake-openai/fake-speech';
import { quickest } from '../support/quickest.ts';
import { Turns } from '../support/turns.ts';
import { until } from '../support/until.ts';

let turns: Turns;
afterEach(() => turns[Symbol.asyncDispose]());

/** `speech 0`, `phrase_done 0`, `token`, `done`, ... */
function told(events: readonly TurnEvent[]): string[] {
  return events.map((event) => {
    if (event.type === 'token') return event.done ? 'done' : 'token';
    if (event.type === 'error') return `${event.code} ${event.phrase}`;
    return 'phrase' in event ? `${event.type} ${event.phrase}` : event.type;
  });
}

function pcmOf(event: TurnEvent): Buffer {
  if (event.type !== 'speech') throw new Error(`${event.type} is no speech`);
  return readWav(Buffer.from(event.audio, 'base64')).pcm;
}

describe('a turn that is spoken', () => {
  it('P26, P27: by flite out of the box, the first phrase before the last token', async () => {
    turns = await Turns.start({ env: { STREAM_TTS_ENGINE: 'auto' } });
    const reply = 'Good morning to you. The weather is fine today. Have a nice walk in the park.';
    turns.chat.next({ tokens: tokensOf(reply), gapMs: 40 });
    const events = await turns.take({ speak: true });
    expect(events[0]).toMatchObject({ type: 'started', tts: 'flite' });
    const order = told(events);
    expect(order.filter((line) => / \d$/u.test(line))).toEqual(
      [0, 1, 2].flatMap((phrase) => [`speech ${phrase}`, `phrase_done ${phrase}`]),
    );
    expect(order.indexOf('speech 0')).toBeLessThan(order.indexOf('done'));
    expect(events.at(-1)).toMatchObject({ type: 'complete', outcome: 'spoken', phrases: 3 });
    const speech = events.filter((event) => event.type === 'speech');
    expect(speech.map(({ phrase, sampleRate }) => [phrase, sampleRate])).toEqual([
      [0, 16_000],
      [1, 16_000],
      [2, 16_000],
    ]);
    for (const event of speech) expect(rmsDbfs(pcmOf(event))).toBeGreaterThan(-35);
    expect(await turns.metrics()).toContain(
      'voice_llm_tts_phrases_total{engine="flite",outcome="spoken"} 3',
    );
  });

  it('P33: closes both upstreams within 100 ms when its request is aborted', async () => {
    const speech = new FakeSpeech({ reply: () => ({ fault: { kind: 'hang', headers: true } }) });
    turns = await Turns.start({ speech });
    const abort = async (): Promise<number> => {
      turns.chat.next({ tokens: tokensOf('One is this. Two is'), fault: { kind: 'stall' } });
      speech.calls.length = 0;
      const client = new AbortController();
      const seen: TurnEvent[] = [];
      const reading = (async () => {
        for await (const event of turns.events({ speak: true }, client.signal)) seen.push(event);
      })();
      reading.catch(() => undefined);
      await until(() => speech.calls.length === 1, 'a request for speech');
      const abortedMs = performance.now();
      client.abort();
      await expect(reading).rejects.toThrow();
      const exchanges = [turns.chat.last.exchange, ...speech.calls.map(({ exchange }) => exchange)];
      await Promise.all(exchanges.map(({ closed }) => closed));
      expect(told(seen)).not.toContain('done');
      expect(speech.calls).toHaveLength(1);
      return Math.max(...exchanges.map((one) => (one.abortedMs ?? Number.NaN) - abortedMs));
    };
    expect(await quickest(100, abort)).toBeLessThan(100);
  });

  it('P28: hears its own phrases only, whatever others are told meanwhile', async () => {
    const speech = new FakeSpeech({ reply: ({ input }) => ({ afterMs: (input.length * 7) % 40 }) });
    turns = await Turns.start({ speech });
    const replies = ['Oh. Abc de. Abcdef gh.', 'Some words here. More words here now. End.'];
    turns.chat.reply = ({ messages }) => ({
      tokens: tokensOf(replies[JSON.stringify(messages).includes('second') ? 1 : 0] ?? ''),
      gapMs: 5,
    });
    const both = await Promise.all([
      turns.take({ speak: true, text: 'the first', conversation: 'a' }),
      turns.take({ speak: true, text: 'the second', conversation: 'b' }),
    ]);
    for (const [index, events] of both.entries()) {
      const phrases = replies[index]?.split(/(?<=\.) /u) ?? [];
      const heard = events.filter((event) => event.type === 'speech').map(pcmOf);
      expect(heard.map((pcm) => pcm.length)).toEqual(phrases.map((text) => toneFor(text).length));
    }
  });

  it('P30: goes on without a phrase that hangs or fails, and says so without its words', async () => {
    const speech = new FakeSpeech({
      reply: ({ input }) => {
        if (input.includes('zebra')) return { fault: { kind: 'hang' } };
        return input.includes('yak') ? { fault: { kind: 'error', status: 500 } } : {};
      },
    });
    turns = await Turns.start({ speech, env: { STREAM_TTS_TIMEOUT_S: '1' } });
    turns.chat.next({ tokens: tokensOf('A zebra is one. A yak is two. An ox is three.') });
    const events = await turns.take({ speak: true });
    expect(told(events).filter((line) => /speech|tts/u.test(line))).toEqual([
      'tts_timeout 0',
      'tts_failed 1',
      'speech 2',
    ]);
    expect(events.at(-1)).toMatchObject({ type: 'complete', outcome: 'spoken', phrases: 1 });
    const metrics = await turns.metrics();
    for (const outcome of ['timeout', 'failed', 'spoken']) {
      expect(metrics).toContain(
        `voice_llm_tts_phrases_total{engine="openai",outcome="${outcome}"} 1`,
      );
    }
    expect(turns.logged.filter(({ event }) => event === 'phrase_lost')).toHaveLength(2);
    expect(JSON.stringify(turns.logged)).not.toMatch(/zebra|yak/u);
  });

  it('by words, where that is asked for', async () => {
    const speech = new FakeSpeech();
    turns = await Turns.start({ speech });
    turns.chat.next({ tokens: tokensOf('one two three four five six seven eight nine') });
    const events = await turns.take({ speak: true, unit: 'words', voice: 'neutral_male' });
    expect(speech.calls.map(({ input, voice }) => `${voice}: ${input}`)).toEqual([
      'neutral_male: one two three four',
      'neutral_male: five six seven eight nine',
    ]);
    expect(events.at(-1)).toMatchObject({ phrases: 2 });
  });
});
