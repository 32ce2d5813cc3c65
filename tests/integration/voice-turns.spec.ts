import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readWav } from '@voice-fleet/speech/wav';
import { range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { lastText, tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeSpeech } from '@voice-fleet/testkit/fake-openai/fake-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { quickest } from '../support/quickest.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { Turns } from '../support/turns.ts';
import { until } from '../support/until.ts';
import type { VoiceSocket } from '../support/voice-socket.ts';

const REPLY = 'Good morning to you. The weather is fine today. Have a nice walk in the park.';

let speech: FakeSpeech;
let turns: Turns;
let fleet: Fleet;

beforeEach(async () => {
  speech = new FakeSpeech();
  turns = await Turns.start({ speech });
  fleet = await Fleet.start([new ScriptedEngine({ slots: 8 })], {
    LLM_TTS_URL: turns.url,
    STREAM_VAD_SILENCE_MS: '300',
    STREAM_PARTIAL_INTERVAL_MS: '250',
    LOG_LEVEL: 'debug',
  });
});
afterEach(async () => {
  await fleet[Symbol.asyncDispose]();
  await turns[Symbol.asyncDispose]();
});

const replyOf = (socket: VoiceSocket): string =>
  socket
    .of('llm_token')
    .map((frame) => (frame.done ? '' : frame.text))
    .join('');

/** Nothing of the reply is sent any more: its upstream is gone and frames would have come by now. */
async function silent(socket: VoiceSocket): Promise<void> {
  await until(() => turns.chat.last.exchange.abortedMs !== undefined, 'the model was left');
  await socket.settled();
}

describe('a turn through /ws', () => {
  it('P17, P19, P26, P27, P36: transcript, tokens, speech and marks, in this order', async () => {
    const socket = await fleet.voice();
    turns.chat.next({ tokens: tokensOf(REPLY), gapMs: 30 });
    socket.start();
    await socket.speakLive(speak(range(1, 3)));
    await socket.next('tts_complete');
    expect(turns.chat.calls).toHaveLength(1);
    expect(lastText(turns.chat.last)).toBe('w1 w2 w3');
    expect(replyOf(socket)).toBe(REPLY);

    const tokens = socket.of('llm_token');
    expect(tokens.filter(({ done }) => done)).toHaveLength(1);
    expect(tokens.at(-1)?.done).toBe(true);
    expect(tokens.length).toBeGreaterThan(5);

    const chunks = socket.of('tts_chunk');
    expect(chunks.map(({ seq }) => seq)).toEqual([0, 1, 2]);
    expect(socket.of('tts_phrase_done').map(({ seq }) => seq)).toEqual([0, 1, 2]);
    for (const { audio_b64, mime } of chunks) {
      expect(mime).toBe('audio/wav');
      const { pcm, channels } = readWav(Buffer.from(audio_b64, 'base64'));
      expect([pcm.length > 0, channels]).toEqual([true, 1]);
    }
    const { received } = socket;
    expect(received.findIndex(({ type }) => type === 'tts_chunk')).toBeLessThan(
      received.findIndex((frame) => frame.type === 'llm_token' && frame.done),
    );
    expect(socket.story.slice(-2)).toEqual(['latency', 'tts_complete']);
    expect(socket.of('tts_complete')).toHaveLength(1);

    const { t0 = 0, t1 = 0, t2 = 0, t3 = 0, t4 = 0, ...marks } = await socket.latency();
    expect(Math.abs(Date.now() - t4)).toBeLessThan(20_000);
    expect([t0, t1, t2, t3, t4]).toEqual([t0, t1, t2, t3, t4].sort((a, b) => a - b));
    expect(marks).toMatchObject({
      d_first_partial: t1 - t0,
      d_final_transcript: t2 - t0,
      d_first_token: t3 - t2,
      d_first_audio: t4 - t2,
    });
    expect(t1 - t0).toBeGreaterThan(400);
  });

  it('P17: the first token follows the final within 300 ms when the model is quick', async () => {
    const socket = await fleet.voice();
    const firstTokenMs = async (): Promise<number> => {
      socket.say(speak([1]));
      const { d_first_token = Number.NaN } = await socket.latency();
      await socket.next('tts_complete');
      return d_first_token;
    };
    expect(await quickest(300, firstTokenMs)).toBeLessThan(300);
  });

  it('P37: phases, latency and what ended it are logged, and nothing of what was said', async () => {
    const socket = await fleet.voice();
    turns.chat.next({ tokens: tokensOf(REPLY) });
    socket.say(speak(range(1, 3)));
    await socket.next('tts_complete');
    const sid = socket.of('info')[0]?.session_id;
    const own = fleet.logged.filter((line) => line['sid'] === sid);
    expect(own.filter(({ event }) => event === 'phase').map(({ from, to }) => [from, to])).toEqual([
      ['IDLE', 'CAPTURING'],
      ['CAPTURING', 'THINKING'],
      ['THINKING', 'RESPONDING'],
      ['RESPONDING', 'COMPLETE'],
    ]);
    const events = own.map(({ event }) => event);
    for (const event of ['metrics', 'latency', 'turn_started', 'turn_ended'])
      expect(events).toContain(event);
    for (const line of own) {
      expect(String(line['ts'])).toMatch(/^\d{4}-\d\d-\d\dT/);
      expect(line['level']).toEqual(expect.any(String));
    }
    const all = JSON.stringify(fleet.logged);
    for (const word of ['w1', 'morning', 'weather']) expect(all).not.toContain(word);
    const metrics = await fleet.metrics();
    expect(metrics).toContain('voice_gateway_utterances_total{reason="explicit_stop"} 1');
    expect(metrics).toContain('voice_gateway_turns_total{outcome="spoken"} 1');
    expect(metrics).toContain('voice_gateway_voice_latency_seconds_count{delta="d_first_audio"} 1');
  });

  it('P16: an utterance without words asks nobody, and is complete', async () => {
    const socket = await fleet.voice();
    socket.say(silence(600));
    await socket.latency();
    const types = socket.story.filter((type) => type !== 'decode');
    expect(types).toEqual(['info', 'protocol', 'finalize_pending', 'final_transcript', 'latency']);
    await socket.settled();
    expect([turns.chat.calls.length, speech.calls.length]).toEqual([0, 0]);
    turns.chat.next({ tokens: tokensOf('Yes.') });
    socket.say(speak([1]));
    await socket.next('tts_complete');
  });

  it('P48, P27: five turns one after the other, whose phrases are numbered on', async () => {
    const socket = await fleet.voice();
    for (const n of range(1, 5)) {
      socket.say(speak([n]));
      await socket.next('tts_complete');
    }
    expect(socket.of('final_transcript').map(({ text }) => text)).toEqual(
      range(1, 5).map((n) => `w${n}`),
    );
    const seqs = socket.of('tts_chunk').map(({ seq }) => seq);
    expect(seqs).toEqual(range(0, seqs.length - 1));
    expect(seqs.length).toBeGreaterThanOrEqual(5);
    expect(socket.of('error')).toEqual([]);
  });

  it('P28: two sessions never mix', async () => {
    turns.chat.reply = (call) => ({
      tokens: tokensOf(`You said ${lastText(call)}. It was ${lastText(call)} indeed.`),
      gapMs: 10,
    });
    const sockets = await Promise.all([fleet.voice(), fleet.voice()]);
    await Promise.all(
      sockets.map(async (socket, index) => {
        for (const n of range(1, 3)) {
          socket.say(speak([10 * (index + 1) + n]));
          await socket.next('tts_complete');
        }
      }),
    );
    for (const [index, socket] of sockets.entries()) {
      const own = range(1, 3).map((n) => `w${10 * (index + 1) + n}`);
      expect(replyOf(socket)).toBe(
        own.map((word) => `You said ${word}. It was ${word} indeed.`).join(''),
      );
      const seqs = socket.of('tts_chunk').map(({ seq }) => seq);
      expect(seqs).toEqual(range(0, seqs.length - 1));
    }
  });

  it('P23: a turn is remembered when it was whole, and not when it was cancelled', async () => {
    const socket = await fleet.voice();
    turns.chat.next({ tokens: tokensOf('Whole reply.') });
    socket.say(speak([1]));
    await socket.next('tts_complete');
    turns.chat.next({ tokens: tokensOf('Lost reply without an end'), fault: { kind: 'stall' } });
    socket.say(speak([2]));
    await until(() => replyOf(socket).includes('Lost'), 'the reply begins');
    socket.cancel();
    await socket.coded('CANCELLED');
    turns.chat.next({ tokens: tokensOf('Third.') });
    socket.say(speak([3]));
    await socket.next('tts_complete');
    const told = turns.chat.last.messages.map(({ content }) => content).slice(1);
    expect(told).toEqual(['w1', 'Whole reply.', 'w3']);
  });

  it('P33: after a cancel nothing of the reply comes, and both upstreams are closed', async () => {
    speech.reply = () => ({ fault: { kind: 'hang', headers: true } });
    const socket = await fleet.voice();
    turns.chat.next({
      tokens: tokensOf(`${REPLY} And then`),
      gapMs: 20,
      fault: { kind: 'endless' },
    });
    socket.say(speak([1]));
    await until(() => speech.calls.length > 0, 'speech is asked for');
    socket.cancel();
    const error = await socket.coded('CANCELLED');
    expect(error).toMatchObject({ recoverable: true });
    await silent(socket);
    await Promise.all(speech.calls.map(({ exchange }) => exchange.closed));
    const { story } = socket;
    expect(story.slice(story.indexOf('CANCELLED'))).toEqual(['CANCELLED', 'pong']);
    expect(socket.of('llm_token').some(({ done }) => done)).toBe(false);
    expect(await fleet.metrics()).toContain('voice_gateway_turns_total{outcome="cancelled"} 1');
    speech.reply = () => ({});
    turns.chat.next({ tokens: tokensOf('Fine.') });
    socket.say(speak([2]));
    await socket.next('tts_complete');
  });

  it('P32: a cancel between the end of an utterance and its reply leaves nothing of it', async () => {
    const socket = await fleet.voice();
    turns.chat.next({ tokens: [], fault: { kind: 'silent' } });
    socket.say(speak([1]));
    await until(() => turns.chat.calls.length === 1, 'the model is asked');
    socket.cancel();
    await socket.coded('CANCELLED');
    await silent(socket);
    expect(socket.of('llm_token')).toEqual([]);
  });

  it('a start amid a reply ends that, and its own frames come first', async () => {
    const socket = await fleet.voice();
    turns.chat.next({
      tokens: tokensOf('One after the other'),
      gapMs: 10,
      fault: { kind: 'endless' },
    });
    socket.say(speak([1]));
    await socket.next('llm_token');
    const before = socket.of('protocol').length;
    socket.start();
    await until(() => socket.of('protocol').length > before, 'the start was taken');
    await silent(socket);
    const { story } = socket;
    expect(story.slice(story.lastIndexOf('protocol'))).toEqual(['protocol', 'pong']);
    turns.chat.next({ tokens: tokensOf('Two.') });
    socket.speak(speak([2]));
    socket.stop();
    await socket.next('tts_complete');
    expect(socket.of('final_transcript').map(({ text }) => text)).toEqual(['w1', 'w2']);
  });
});

describe('a speaker who cuts in', () => {
  it('is billed for what was said before the final, though no frame follows it', async () => {
    const socket = await fleet.voice();
    turns.chat.next({ tokens: tokensOf('Yes.') });
    socket.say(speak(range(1, 3)));
    // In the same burst: the final cannot have come yet.
    const held = silence(800);
    socket.speak(held);
    await socket.next('tts_complete');
    await socket.settled();
    socket.terminate();
    const accepted = (): unknown =>
      fleet.logged.find(({ event }) => event === 'session_ended')?.['acceptedSamples'];
    await until(() => accepted() !== undefined, 'the session ended');
    expect(accepted()).toBe((speak(range(1, 3)).length + held.length) / 2);
    const url = `http://127.0.0.1:${fleet.gateways[0]?.port}/v1/usage`;
    const booked = async (): Promise<unknown> => {
      const response = await fetch(url, { headers: { 'X-API-Key': KEY } });
      const { rows } = (await response.json()) as { rows: { audio_samples: number }[] };
      return rows[0]?.audio_samples;
    };
    await until(async () => (await booked()) === accepted(), 'all of it is booked');
  });

  it('stops the reply, and is heard from the first word on', async () => {
    const socket = await fleet.voice();
    turns.chat.next({
      tokens: tokensOf('One after the other'),
      gapMs: 10,
      fault: { kind: 'endless' },
    });
    socket.start();
    socket.speak(Buffer.concat([speak([1]), silence(400)]));
    await socket.next('llm_token');
    turns.chat.next({ tokens: tokensOf('As you wish.') });
    // A microphone that stays open: silence first, then speech.
    await socket.speakLive(silence(800));
    expect(socket.of('info').filter(({ code }) => code === 'BARGE_IN')).toEqual([]);
    await socket.speakLive(speak(range(2, 5)));
    await socket.coded('BARGE_IN');
    await socket.next('tts_complete');
    expect(socket.of('final_transcript').map(({ text }) => text)).toEqual([
      'w1',
      transcript(range(2, 5)),
    ]);
    const { story, received } = socket;
    const cutIn = story.indexOf('BARGE_IN');
    const final = story.lastIndexOf('final_transcript');
    expect(story.slice(cutIn, final)).not.toContain('llm_token');
    expect(story.slice(cutIn, final)).toContain('partial_transcript');
    expect(story[cutIn - 1]).toBe('latency');
    // Its clock begins with its own speech.
    const marks = received.findLast((frame) => frame.type === 'metrics');
    expect(marks).toMatchObject({ d_final_transcript: expect.any(Number) });
    if (marks?.type !== 'metrics' || marks.event !== 'latency') throw new Error('no marks');
    expect(marks.d_final_transcript).toBeGreaterThan(1500);
    expect(marks.d_final_transcript).toBeLessThan(3500);
    expect(await fleet.metrics()).toContain('voice_gateway_barge_ins_total 1');
  });

  it('loses no word said between the end of an utterance and its final', async () => {
    const socket = await fleet.voice();
    // The first may be left before anybody is asked.
    turns.chat.reply = (call) =>
      lastText(call) === 'w1'
        ? { tokens: [], fault: { kind: 'silent' } }
        : { tokens: tokensOf('Both.') };
    socket.start();
    socket.speak(speak([1]));
    socket.stop();
    socket.speak(Buffer.concat([speak(range(2, 4)), silence(400)]));
    await socket.next('tts_complete');
    expect(socket.of('final_transcript').map(({ text }) => text)).toEqual(['w1', 'w2 w3 w4']);
  });

  it('is not found in silence: the reply ends, and what was listened to leaves nothing', async () => {
    const socket = await fleet.voice();
    turns.chat.next({ tokens: tokensOf(REPLY), gapMs: 20 });
    socket.start();
    socket.speak(Buffer.concat([speak([1]), silence(400)]));
    await socket.next('llm_token');
    await socket.speakLive(silence(400));
    await socket.next('tts_complete');
    socket.speak(silence(80));
    await socket.settled();
    expect(socket.of('final_transcript')).toHaveLength(1);
    expect(socket.of('error')).toEqual([]);
    expect(socket.story.at(-2)).toBe('tts_complete');
    turns.chat.next({ tokens: tokensOf('Again.') });
    socket.say(speak([2]));
    await socket.next('tts_complete');
  });
});

describe('a reply that goes wrong', () => {
  it('a model that fails is LLM_FAIL, without speech, and the next turn works', async () => {
    const socket = await fleet.voice();
    turns.chat.next({ tokens: [], fault: { kind: 'error', status: 400 } });
    socket.say(speak([1]));
    expect(await socket.coded('LLM_FAIL')).toMatchObject({ recoverable: true });
    await socket.latency();
    expect(socket.story.at(-1)).toBe('latency');
    expect(socket.of('tts_complete')).toEqual([]);
    turns.chat.next({ tokens: tokensOf('Yes.') });
    socket.say(speak([2]));
    await socket.next('tts_complete');
  });

  it('a phrase that cannot be spoken is TTS_FAIL, and the others come', async () => {
    const socket = await fleet.voice();
    speech.reply = ({ input }) =>
      input.includes('weather') ? { fault: { kind: 'error', status: 400 } } : {};
    turns.chat.next({ tokens: tokensOf(REPLY) });
    socket.say(speak([1]));
    expect(await socket.coded('TTS_FAIL')).toMatchObject({ recoverable: true });
    await socket.next('tts_complete');
    expect(socket.of('tts_chunk').map(({ seq }) => seq)).toEqual([0, 1]);
  });

  it('an llm-tts that dies amid a turn is LLM_FAIL, as is one that is not there', async () => {
    const socket = await fleet.voice();
    turns.chat.next({ tokens: tokensOf('One after'), gapMs: 10, fault: { kind: 'endless' } });
    socket.say(speak([1]));
    await socket.next('llm_token');
    await turns.stop();
    expect(await socket.coded('LLM_FAIL')).toMatchObject({ recoverable: true });
    await socket.latency();
    socket.say(speak([2]));
    await socket.next('final_transcript');
    expect(await socket.coded('LLM_FAIL')).toMatchObject({ recoverable: true });
    await socket.latency();
    socket.say(speak([3]), { mode: 'transcribe' });
    await socket.latency();
    expect(socket.of('final_transcript')).toHaveLength(3);
  });

  it('P46: leaves nothing behind when its client goes away', async () => {
    const socket = await fleet.voice();
    turns.chat.next({ tokens: tokensOf('One after'), gapMs: 10, fault: { kind: 'endless' } });
    socket.say(speak([1]));
    await socket.next('llm_token');
    socket.terminate();
    await until(() => turns.chat.last.exchange.abortedMs !== undefined, 'the model was left');
    await until(
      async () => (await fleet.get('/health')).body['active_sessions'] === 0,
      'the session is gone',
    );
    expect(await fleet.metrics()).toContain('voice_gateway_turns_total{outcome="gone"} 1');
  });
});
