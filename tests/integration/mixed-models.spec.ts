import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connectRedis, untilReady } from '@voice-fleet/fleet/redis';
import { TenantStore } from '@voice-fleet/fleet/tenants/tenant-store';
import { writeWav } from '@voice-fleet/speech/wav';
import { frames, range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { JsonSocket } from '../support/json-socket.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

describe('a fleet of two models', () => {
  const ears = new ScriptedEngine({ slots: 2, model: 'house/ears' });
  const eyes = new ScriptedEngine({ slots: 2, model: 'house/eyes' });
  let fleet: Fleet;
  /** Of a tenant with names of its own, and of one that is kept to a model. */
  const keys = { named: '', kept: '' };
  beforeAll(async () => {
    fleet = await Fleet.start([ears, eyes], {
      MODEL_ALIASES: '{"listener": "house/ears"}',
    });
    const redis = connectRedis(fleet.redis.url, {
      onError: () => undefined,
      commandTimeoutMs: 30_000,
    });
    await untilReady(redis, AbortSignal.timeout(10_000));
    const tenants = new TenantStore(redis);
    const make = async (id: string, fields: Parameters<TenantStore['createTenant']>[1]) => {
      await tenants.createTenant(id, fields);
      return (await tenants.createKey(id)).secret;
    };
    keys.named = await make('named', { aliases: { listener: 'house/eyes', own: 'house/eyes' } });
    keys.kept = await make('kept', { models: ['house/eyes'] });
    redis.disconnect();
    await settled();
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  const url = (path: string, scheme = 'http'): string =>
    `${scheme}://127.0.0.1:${fleet.gateways[0]?.port}${path}`;
  const settled = (): Promise<void> =>
    until(async () => {
      const { workers, leased } = (await fleet.get('/readyz')).body;
      return workers === 2 && leased === 0;
    }, 'both workers are there, and no session');

  /** Which engine hears a recording that is sent for this model. */
  async function heardBy(model: string | undefined, key = KEY): Promise<string> {
    const before = [ears.takenSamples, eyes.takenSamples];
    const body = new FormData();
    const wav = writeWav(speak(range(1, 3)), 16_000);
    body.append('file', new Blob([new Uint8Array(wav)]), 'a.wav');
    if (model !== undefined) body.append('model', model);
    const headers = { Authorization: `Bearer ${key}` };
    const response = await fetch(url('/v1/audio/transcriptions'), {
      method: 'POST',
      headers,
      body,
    });
    const told = (await response.json()) as { text?: string; error?: { code: string } };
    if (told.error) return told.error.code;
    expect(told.text).toBe(transcript(range(1, 3)));
    await settled();
    return [ears, eyes]
      .flatMap((engine, at) => (engine.takenSamples > (before[at] ?? 0) ? [engine.model] : []))
      .join(' ');
  }

  function dial(query: string, key = KEY): JsonSocket {
    const headers = { Authorization: `Bearer ${key}` };
    const socket = new JsonSocket(url(`/v1/realtime${query}`, 'ws'), { headers });
    fleet.sockets.push(socket);
    return socket;
  }

  /** Which model a session is told that it has. */
  async function modelOf(socket: JsonSocket): Promise<unknown> {
    const { session } = await socket.next('session.created');
    const { audio } = session as { audio: { input: { transcription: { model: string } } } };
    return audio.input.transcription.model;
  }

  it('hears each recording with the model that is asked for', async () => {
    for (let round = 0; round < 2; round += 1) {
      expect(await heardBy('house/eyes')).toBe('house/eyes');
      expect(await heardBy('house/ears')).toBe('house/ears');
    }
    expect(await heardBy('listener')).toBe('house/ears');
    expect(await heardBy('house/nose')).toBe('model_not_found');
  });

  it('gives a session a worker of the model in its address, and turns away who comes when that is full', async () => {
    const query = '?intent=transcription&model=house%2Feyes';
    const taken = [dial(query), dial(query)];
    for (const one of taken) expect(await modelOf(one)).toBe('house/eyes');
    const third = dial(query);
    await third.answered();
    expect(third.refused).toMatchObject({ status: 503, body: { error: { code: 'at_capacity' } } });
    const other = dial('?intent=transcription&model=house%2Fears');
    expect(await modelOf(other)).toBe('house/ears');
    for (const one of [...taken, other]) one.terminate();
    await settled();
  });

  it('knows the names of each tenant, before those of all', async () => {
    expect(await heardBy('own', keys.named)).toBe('house/eyes');
    expect(await heardBy('listener', keys.named)).toBe('house/eyes');
    expect(await heardBy('own')).toBe('model_not_found');
    const ids = async (key: string): Promise<string[]> => {
      const response = await fetch(url('/v1/models'), {
        headers: { Authorization: `Bearer ${key}` },
      });
      const { data } = (await response.json()) as { data: { id: string }[] };
      return data.map(({ id }) => id);
    };
    expect(await ids(KEY)).toEqual(['house/ears', 'house/eyes', 'listener']);
    expect(await ids(keys.named)).toEqual(['house/ears', 'house/eyes', 'listener', 'own']);
    expect(await ids(keys.kept)).toEqual(['house/eyes']);
    const stranger = dial('?intent=transcription&model=own');
    await stranger.answered();
    expect(stranger.refused?.status).toBe(404);
  });

  it('tells a session that names another model than it has, and lets it go on', async () => {
    const socket = dial('?intent=transcription&model=listener');
    expect(await modelOf(socket)).toBe('listener');
    const update = (model: string, event_id: string) => {
      const input = { format: { type: 'audio/pcm', rate: 16_000 }, transcription: { model } };
      const session = {
        type: 'transcription',
        audio: { input: { ...input, turn_detection: null } },
      };
      socket.send({ type: 'session.update', event_id, session });
    };
    update('house/nose', 'e1');
    update('house/eyes', 'e2');
    for (const [nth, told] of ['There is no such model', 'has the model house/ears'].entries()) {
      const { error } = await socket.next('error', nth);
      expect(error).toMatchObject({
        code: 'model_not_found',
        param: 'model',
        event_id: `e${nth + 1}`,
        message: expect.stringContaining(told),
      });
    }
    expect(socket.of('session.updated')).toEqual([]);
    for (const name of ['whisper-1', 'house/ears']) update(name, 'e3');
    await socket.next('session.updated', 1);
    for (const part of frames(speak(range(1, 3))))
      socket.send({ type: 'input_audio_buffer.append', audio: part.toString('base64') });
    socket.send({ type: 'input_audio_buffer.commit' });
    const done = await socket.next('conversation.item.input_audio_transcription.completed');
    expect(done['transcript']).toBe(transcript(range(1, 3)));
    expect(socket.of('error')).toHaveLength(2);
    socket.terminate();
    await settled();
  });

  it("tells one of vLLM's in its words, and lets it go on", async () => {
    const socket = dial('?model=house%2Fears');
    await socket.next('session.created');
    socket.send({ type: 'session.update', model: 'house/nose' });
    socket.send({ type: 'session.update', model: 'house/eyes' });
    for (const nth of [0, 1])
      expect(await socket.next('error', nth)).toMatchObject({
        code: 'model_not_found',
        error: expect.any(String),
      });
    socket.send({ type: 'session.update', model: 'listener' });
    socket.send({ type: 'input_audio_buffer.commit' });
    for (const part of frames(speak(range(1, 3))))
      socket.send({ type: 'input_audio_buffer.append', audio: part.toString('base64') });
    socket.send({ type: 'input_audio_buffer.commit', final: true });
    expect((await socket.next('transcription.done'))['text']).toBe(transcript(range(1, 3)));
    expect(socket.of('error')).toHaveLength(2);
    socket.terminate();
    await settled();
  });

  it('makes no client secret for a session with a model that is not there', async () => {
    const ask = async (model: string): Promise<number> => {
      const session = { type: 'transcription', audio: { input: { transcription: { model } } } };
      const response = await fetch(url('/v1/realtime/client_secrets'), {
        method: 'POST',
        headers: { Authorization: `Bearer ${KEY}` },
        body: JSON.stringify({ session }),
      });
      return response.status;
    };
    expect([await ask('house/nose'), await ask('listener')]).toEqual([404, 200]);
  });

  it('keeps a tenant to the models that it may use', async () => {
    expect(await heardBy(undefined, keys.kept)).toBe('house/eyes');
    expect(await heardBy('whisper-1', keys.kept)).toBe('house/eyes');
    expect(await heardBy('house/ears', keys.kept)).toBe('model_not_found');
    const session = dial('?intent=transcription', keys.kept);
    expect(await modelOf(session)).toBe('house/eyes');
    session.terminate();
    await settled();
  });
});
