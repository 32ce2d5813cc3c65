import { connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { writeWav } from '@voice-fleet/speech/wav';
import { range, SLOT_SAMPLES, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { faultOf, form, post, wav } from '../support/recordings.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

describe('POST /transcribe', () => {
  let fleet: Fleet;
  afterEach(() => fleet[Symbol.asyncDispose]());

  const leased = async (): Promise<unknown> => (await fleet.get('/readyz')).body['leased'];
  const openSessions = async (): Promise<unknown> =>
    (await fleet.get('/health')).body['active_sessions'];

  it('answers the text of a WAV in a form, and only its samples are heard (P58)', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine]);
    const answer = await post(fleet, '/transcribe', form(wav(range(1, 5))));
    expect([answer.status, answer.body]).toEqual([200, { transcript: transcript(range(1, 5)) }]);
    // Not one sample more: the header is no audio.
    expect(engine.takenSamples).toBe(5 * SLOT_SAMPLES);
    expect([await leased(), await openSessions(), engine.openStreams]).toEqual([0, 0, 0]);
  });

  it('takes a recording as the body itself, and a key as a Bearer token', async () => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    const headers = { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/octet-stream' };
    const answer = await post(fleet, '/transcribe', wav([7, 8]), { headers });
    expect([answer.status, answer.body]).toEqual([200, { transcript: transcript([7, 8]) }]);
  });

  it('hears every word of a minute sent at once, though its engine takes them slowly at times', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine]);
    const words = range(1, 150);
    const sinceMs = performance.now();
    engine.stall(30 * SAMPLE_RATE);
    const answered = post(fleet, '/transcribe', form(wav(words)));
    await until(() => engine.takenSamples >= 29 * SAMPLE_RATE, 'the engine is stuck');
    engine.resume();
    expect((await answered).body).toEqual({ transcript: transcript(words) });
    expect(performance.now() - sinceMs).toBeLessThan(60_000);
    expect(await fleet.metrics()).toContain('voice_gateway_dropped_audio_seconds_total 0');
  });

  it('converts other rates: ten seconds at 48 kHz are ten seconds to the engine', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine]);
    const answer = await post(fleet, '/transcribe', form(writeWav(silence(30_000), 48_000)));
    expect([answer.status, answer.body]).toEqual([200, { transcript: '' }]);
    expect(engine.takenSamples).toBe(10 * SAMPLE_RATE);
  });

  it('goes on with another worker when its own leaves', async () => {
    const first = new ScriptedEngine();
    fleet = await Fleet.start([first]);
    const words = range(1, 60);
    first.stall(8 * SAMPLE_RATE);
    const answered = post(fleet, '/transcribe', form(wav(words)));
    await until(() => first.takenSamples >= 7 * SAMPLE_RATE, 'the first worker is at it');
    await fleet.addWorker(new ScriptedEngine());
    await fleet.ready();
    const [leaving] = fleet.workers.splice(0, 1);
    await leaving?.close();
    expect((await answered).body).toEqual({ transcript: transcript(words) });
  });

  it('books the audio to the tenant of the key', async () => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    await post(fleet, '/transcribe', form(wav(range(1, 5))));
    const { port } = fleet.gateways[0] ?? {};
    const response = await fetch(`http://127.0.0.1:${port}/v1/usage`, {
      headers: { 'X-API-Key': KEY },
    });
    expect(await response.json()).toMatchObject({
      audio_seconds: (5 * SLOT_SAMPLES) / SAMPLE_RATE,
      rows: [{ sessions: 1 }],
    });
    const metrics = await fleet.metrics();
    expect(metrics).toContain('voice_gateway_audio_seconds_total{protocol="http"} 2');
    expect(metrics).toContain(
      'voice_gateway_admissions_total{protocol="http",outcome="accepted"} 1',
    );
  });

  it.each([
    ['no key', {}],
    ['a wrong key', { 'X-API-Key': 'wrong' }],
  ])('refuses %s with 401', async (_, headers) => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    const answer = await post(fleet, '/transcribe', form(wav([1])), { headers });
    expect([answer.status, faultOf(answer).code]).toEqual([401, 'authentication_failed']);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });

  it.each([
    ['an empty body', Buffer.alloc(0), 'empty'],
    ['an empty file', form(Buffer.alloc(0)), 'empty'],
    ['a form without the file', form(wav([1]), 'recording'), 'no part `file`'],
    ['a WAV without audio', form(writeWav(Buffer.alloc(0), 16_000)), 'no audio'],
  ])('answers %s with 400 that says so (P58)', async (_, body, why) => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    const answer = await post(fleet, '/transcribe', body);
    expect([answer.status, faultOf(answer).code]).toEqual([400, 'missing_audio']);
    expect(faultOf(answer).message).toContain(why);
  });

  it('answers a damaged WAV with 400 that says what is wrong', async () => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    const answer = await post(fleet, '/transcribe', form(wav([1]).subarray(0, 30)));
    expect([answer.status, faultOf(answer).code]).toEqual([400, 'invalid_audio']);
    expect(faultOf(answer).message).toContain('cut off');
  });

  it('answers a broken form with 400, and a body that is no recording with 415', async () => {
    fleet = await Fleet.start([new ScriptedEngine()]);
    const as = (type: string): { headers: Record<string, string> } => ({
      headers: { 'X-API-Key': KEY, 'Content-Type': type },
    });
    const noBoundary = await post(fleet, '/transcribe', wav([1]), as('multipart/form-data'));
    expect([noBoundary.status, faultOf(noBoundary).code]).toEqual([400, 'invalid_message']);
    const cut = await post(fleet, '/transcribe', Buffer.from('--b\r\nnonsense'), {
      headers: { 'X-API-Key': KEY, 'Content-Type': 'multipart/form-data; boundary=b' },
    });
    expect(cut.status).toBe(400);
    for (const type of ['application/json', 'text/plain']) {
      const answer = await post(fleet, '/transcribe', Buffer.from('{}'), as(type));
      expect([answer.status, faultOf(answer).code]).toEqual([415, 'unsupported_media_type']);
    }
  });

  it('answers a recording that is too large or too long with 413, and lives on', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], {
      HTTP_RECORDING_MAX_BYTES: '100000',
      HTTP_RECORDING_MAX_S: '2',
    });
    for (const body of [form(wav(range(1, 20))), wav(range(1, 20))]) {
      const large = await post(fleet, '/transcribe', body);
      expect([large.status, faultOf(large).code]).toEqual([413, 'message_too_large']);
      expect(faultOf(large).details).toEqual({ max_bytes: 100_000 });
    }
    const long = await post(fleet, '/transcribe', form(wav(range(1, 6))));
    expect([long.status, faultOf(long).details]).toEqual([413, { max_seconds: 2 }]);
    expect((await post(fleet, '/transcribe', form(wav([1])))).status).toBe(200);
  });

  it('answers 503 with Retry-After when it has as many recordings as it may', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine], { HTTP_RECORDINGS_MAX: '1' });
    engine.stall();
    const first = post(fleet, '/transcribe', form(wav([1])));
    await until(async () => (await openSessions()) === 1, 'the first is under way');
    const second = await post(fleet, '/transcribe', form(wav([2])));
    expect([second.status, faultOf(second).code]).toEqual([503, 'at_capacity']);
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0);
    engine.resume();
    expect((await first).body).toEqual({ transcript: 'w1' });
    expect((await post(fleet, '/transcribe', form(wav([3])))).body).toEqual({ transcript: 'w3' });
  });

  it('gets its places back from requests in one connection that is lost', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine], { HTTP_RECORDINGS_MAX: '2' });
    engine.stall();
    const body = wav([1]);
    const head = `POST /transcribe HTTP/1.1\r\nhost: a\r\nx-api-key: ${KEY}\r\ncontent-type: audio/wav\r\n`;
    const request = Buffer.concat([
      Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`),
      body,
    ]);
    const client = connect(fleet.gateways[0]?.port ?? 0, '127.0.0.1');
    client.write(Buffer.concat([request, request]));
    await until(async () => (await openSessions()) === 2, 'both places are taken');
    client.destroy();
    engine.resume();
    await until(
      async () => (await post(fleet, '/transcribe', form(wav([3])))).status === 200,
      'there is a place again',
    );
  });

  it('answers 503 with Retry-After when all slots are taken, or there is no worker (P58)', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 1 })]);
    const client = await fleet.client();
    const full = await post(fleet, '/transcribe', form(wav([1])));
    expect([full.status, faultOf(full).code]).toEqual([503, 'at_capacity']);
    expect(Number(full.headers.get('retry-after'))).toBeGreaterThan(0);
    client.terminate();
    await fleet.workers.pop()?.close();
    await until(async () => (await fleet.get('/readyz')).body['workers'] === 0, 'it is gone');
    const none = await post(fleet, '/transcribe', form(wav([1])));
    expect([none.status, faultOf(none).code]).toEqual([503, 'fleet_unavailable']);
    expect(Number(none.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('ends all it began when its client goes', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine]);
    engine.stall(SAMPLE_RATE);
    const gone = new AbortController();
    const answered = post(fleet, '/transcribe', form(wav(range(1, 20))), { signal: gone.signal });
    await until(() => engine.takenSamples > 0, 'the engine is at it');
    expect([await leased(), await openSessions()]).toEqual([1, 1]);
    gone.abort();
    await expect(answered).rejects.toThrow('aborted');
    await until(async () => (await leased()) === 0, 'the slot is given back');
    await until(async () => (await openSessions()) === 0, 'the session is over');
    expect(engine.openStreams).toBe(0);
  });

  it('fails rather than leave a part out, when a worker drops audio after all', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine], { STT_MAX_BACKLOG_SECONDS: '1' });
    engine.stall();
    const answer = await post(fleet, '/transcribe', form(wav(range(1, 10))));
    expect([answer.status, faultOf(answer).code]).toEqual([502, 'engine_failed']);
    expect(faultOf(answer).message).toContain('fell behind');
    expect(await leased()).toBe(0);
  });

  it('answers 504 when its engine hangs, in bounded time (P43)', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine], { FAILOVER_TIMEOUT_S: '0.2', STREAM_ASR_TIMEOUT_S: '1' });
    engine.stall(SAMPLE_RATE);
    const answer = await post(fleet, '/transcribe', form(wav(range(1, 20))));
    expect([answer.status, faultOf(answer).code]).toEqual([504, 'asr_timeout']);
    expect(await leased()).toBe(0);
  });

  it('finishes what it has when the gateway is told to stop, and takes no more', async () => {
    const engine = new ScriptedEngine();
    fleet = await Fleet.start([engine]);
    engine.stall(SAMPLE_RATE);
    const answered = post(fleet, '/transcribe', form(wav(range(1, 10))));
    await until(() => engine.takenSamples > 0, 'the engine is at it');
    const [gateway] = fleet.gateways.splice(0, 1);
    const closed = gateway?.close();
    engine.resume();
    expect((await answered).body).toEqual({ transcript: transcript(range(1, 10)) });
    await closed;
  });

  it('works while streaming is switched off (P41)', async () => {
    fleet = await Fleet.start([new ScriptedEngine()], { STREAMING_ENABLED: '0' });
    const answer = await post(fleet, '/transcribe', form(writeWav(speak([5]), 16_000)));
    expect(answer.body).toEqual({ transcript: 'w5' });
  });
});
