import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readWav, writeWav } from '@voice-fleet/speech/wav';
import { range, silence, transcript } from '@voice-fleet/testkit/coded-speech';
import { lastText, tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { FakeSpeech, toneFor } from '@voice-fleet/testkit/fake-openai/fake-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { faultOf, form, post, wav } from '../support/recordings.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { Turns } from '../support/turns.ts';
import { until } from '../support/until.ts';

describe('POST /api/voice', () => {
  let turns: Turns;
  let fleet: Fleet;
  let speech: FakeSpeech;

  beforeEach(() => {
    speech = new FakeSpeech();
  });
  afterEach(async () => {
    await fleet[Symbol.asyncDispose]();
    await turns[Symbol.asyncDispose]();
  });

  async function start(
    options: Parameters<typeof Turns.start>[0] = { speech },
    env: Record<string, string> = {},
    engine = new ScriptedEngine(),
  ): Promise<void> {
    turns = await Turns.start(options);
    fleet = await Fleet.start([engine], { LLM_TTS_URL: turns.url, ...env });
  }
  const leased = async (): Promise<unknown> => (await fleet.get('/readyz')).body['leased'];

  it('answers transcript, reply and one WAV of all its phrases (P42)', async () => {
    await start();
    turns.chat.next({ tokens: tokensOf('It is late. Go to bed now.') });
    const answer = await post(fleet, '/api/voice', form(wav(range(1, 4))));
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      transcript: transcript(range(1, 4)),
      reply: 'It is late. Go to bed now.',
      mime: 'audio/wav',
      missing_phrases: 0,
    });
    const { id, model, audio_b64: audio } = answer.body;
    expect([id, model]).toEqual([expect.stringMatching(/^[\da-f-]{36}$/), expect.any(String)]);
    expect(model).not.toBe('');
    expect(lastText(turns.chat.last)).toBe(transcript(range(1, 4)));
    const { pcm } = readWav(Buffer.from(String(audio), 'base64'));
    const spoken = ['It is late.', 'Go to bed now.'].map((text) => toneFor(text));
    expect(pcm.equals(Buffer.concat(spoken))).toBe(true);
    expect(await leased()).toBe(0);
  });

  it('answers an empty reply, and asks no model, when nothing was said (P16)', async () => {
    await start();
    const answer = await post(fleet, '/api/voice', form(writeWav(silence(1_000), 16_000)));
    expect([answer.status, answer.body]).toEqual([
      200,
      {
        id: expect.any(String),
        transcript: '',
        reply: '',
        audio_b64: '',
        mime: 'audio/wav',
        model: '',
        missing_phrases: 0,
      },
    ]);
    expect(turns.chat.calls).toEqual([]);
  });

  it('answers without a key for a model by the built-in rules, spoken aloud, while streaming is off (P18, P41)', async () => {
    await start({ llm: false, env: { STREAM_TTS_ENGINE: 'flite' } }, { STREAMING_ENABLED: '0' });
    const answer = await post(fleet, '/api/voice', form(wav([2])));
    expect([answer.status, answer.body['model']]).toEqual([200, 'builtin-rules']);
    expect(answer.body['reply']).not.toBe('');
    const { pcm, sampleRate } = readWav(Buffer.from(String(answer.body['audio_b64']), 'base64'));
    expect(pcm.length / 2 / sampleRate).toBeGreaterThan(0.5);
    let loudest = 0;
    for (let at = 0; at < pcm.length; at += 2) loudest = Math.max(loudest, pcm.readInt16LE(at));
    expect(loudest).toBeGreaterThan(1_000);
  });

  it('leaves none out, however slowly they are spoken, as nobody hears them live', async () => {
    await start();
    speech.reply = () => ({ afterMs: 20 });
    const phrases = Array.from({ length: 20 }, (_, index) => `This is number ${index}.`);
    turns.chat.next({ tokens: tokensOf(phrases.join(' ')) });
    const { body } = await post(fleet, '/api/voice', form(wav([1])));
    expect(body).toMatchObject({ reply: phrases.join(' '), missing_phrases: 0 });
    const { pcm } = readWav(Buffer.from(String(body['audio_b64']), 'base64'));
    expect(pcm.equals(Buffer.concat(phrases.map((text) => toneFor(text))))).toBe(true);
  });

  it('leaves out a phrase that cannot be spoken, and says so', async () => {
    await start();
    turns.chat.next({ tokens: tokensOf('It is late. Go to bed now.') });
    speech.reply = ({ input }) =>
      input.startsWith('It') ? { fault: { kind: 'error', status: 400 } } : {};
    const answer = await post(fleet, '/api/voice', form(wav([1])));
    expect(answer.body).toMatchObject({ reply: 'It is late. Go to bed now.', missing_phrases: 1 });
    expect(answer.body['audio_b64']).not.toBe('');
  });

  it('answers 502 when the model fails or llm-tts is away, and 504 when the model is silent (P43)', async () => {
    await start({ speech, env: { STREAM_LLM_TIMEOUT_S: '5' } });
    turns.chat.next({ tokens: [], fault: { kind: 'silent' } });
    const silent = await post(fleet, '/api/voice', form(wav([1])));
    expect([silent.status, faultOf(silent).code]).toEqual([504, 'llm_timeout']);
    await fleet.addGateway({ LLM_TTS_URL: 'http://127.0.0.1:9' });
    await until(async () => (await fleet.get('/readyz', 1)).status === 200, 'it is ready');
    const away = await post(fleet, '/api/voice', form(wav([1])), { gateway: 1 });
    expect([away.status, faultOf(away).code]).toEqual([502, 'llm_failed']);
    expect(await leased()).toBe(0);
  });

  it('answers 503, and no hang, when there is no engine that works (P43)', async () => {
    turns = await Turns.start({ speech });
    fleet = await Fleet.start([], { LLM_TTS_URL: turns.url });
    const answer = await post(fleet, '/api/voice', form(wav([1])));
    expect([answer.status, faultOf(answer).code]).toEqual([503, 'fleet_unavailable']);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('answers an engine that fails again and again with an error (P43)', async () => {
    const engine = new ScriptedEngine();
    engine.open = () => {
      throw new Error('broken');
    };
    await start({ speech }, { FAILOVER_TIMEOUT_S: '1' }, engine);
    const answer = await post(fleet, '/api/voice', form(wav([1])));
    expect([answer.status, faultOf(answer).code]).toEqual([502, 'engine_failed']);
  });

  it('stops the model when its client goes', async () => {
    await start();
    turns.chat.next({ tokens: tokensOf('It is very late.'), fault: { kind: 'stall' } });
    const gone = new AbortController();
    const answered = post(fleet, '/api/voice', form(wav([1])), { signal: gone.signal });
    await until(() => turns.chat.calls.length === 1, 'the model is asked');
    gone.abort();
    await expect(answered).rejects.toThrow('aborted');
    await until(() => turns.chat.last.exchange.signal.aborted, 'nothing is asked of it any more');
  });

  it('needs a key, and takes it as a Bearer token', async () => {
    await start();
    const refused = await post(fleet, '/api/voice', form(wav([1])), { headers: {} });
    expect([refused.status, faultOf(refused).code]).toEqual([401, 'authentication_failed']);
    const headers = { Authorization: `Bearer ${KEY}` };
    expect((await post(fleet, '/api/voice', form(wav([1])), { headers })).status).toBe(200);
  });
});
