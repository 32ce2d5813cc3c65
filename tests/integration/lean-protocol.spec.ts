import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { addLean, dialLean, startLean } from '../support/lean-fleet.ts';
import type { LeanSocket } from '../support/lean-socket.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { until } from '../support/until.ts';

describe('the lean protocol', () => {
  let fleet: Fleet;
  afterEach(() => fleet[Symbol.asyncDispose]());

  async function start(env: Record<string, string> = {}, engine = new ScriptedEngine()) {
    fleet = await Fleet.start([engine], env);
    await addLean(fleet, env);
    return engine;
  }
  const finals = (socket: LeanSocket): [string, boolean][] =>
    socket.all('final_transcript').map(({ text, provisional }) => [text, provisional]);
  const types = (socket: LeanSocket): string[] => socket.frames.map(({ type }) => type);

  it('greets, tells what is said as it is said, then the whole, its marks, and closes (P53, P55)', async () => {
    await start();
    const socket = dialLean(fleet);
    expect(await socket.next('protocol')).toEqual({ type: 'protocol', version: 1 });
    expect(socket.frames[0]?.type).toBe('protocol');
    expect((await socket.next('info')).session_id).toMatch(/^sess_/);
    await socket.send({ type: 'start' });
    expect((await socket.next('info', 1)).code).toBe('STARTED');
    await socket.speak(speak(range(1, 8)));
    await socket.send({ type: 'stop' });
    expect(await socket.closed).toEqual({ code: 1000, reason: 'Session complete' });

    const partials = socket.all('partial_transcript').map(({ text }) => text);
    expect(partials.length).toBeGreaterThanOrEqual(2);
    expect(new Set(partials).size).toBe(partials.length);
    expect(finals(socket)).toEqual([
      [partials.at(-1), true],
      [transcript(range(1, 8)), false],
    ]);
    const ids = socket.all('final_transcript').map(({ id }) => id);
    expect(new Set(ids).size).toBe(2);
    expect(types(socket).slice(-6)).toEqual([
      'partial_transcript',
      'finalize_pending',
      'final_transcript',
      'final_transcript',
      'metrics',
      'info',
    ]);
    const [{ t0 = 0, t1 = 0, t2 = 0 } = {}] = socket.all('metrics');
    expect([t0 > 0, t0 <= t1, t1 <= t2]).toEqual([true, true, true]);
    expect(socket.all('info').at(-1)?.message).toBe('Session complete');
  });

  it('tells of a long utterance the last five seconds only, and all of it at the end (P53)', async () => {
    await start();
    const socket = await startLean(fleet);
    await socket.speak(speak(range(1, 18)));
    await socket.send({ type: 'stop' });
    await socket.closed;
    const last = socket.all('partial_transcript').at(-1)?.text.split(' ') ?? [];
    expect(last[0]).not.toBe('w1');
    expect(last.length).toBeLessThanOrEqual(13);
    expect(finals(socket)[1]).toEqual([transcript(range(1, 18)), false]);
  });

  it('is ended by stop (P54)', async () => {
    await start();
    const socket = await startLean(fleet);
    await socket.send(speak([1, 2]));
    await socket.send({ type: 'stop' });
    expect((await socket.next('finalize_pending')).reason).toBe('explicit_stop');
    await socket.closed;
    expect(finals(socket)[1]).toEqual([transcript([1, 2]), false]);
  });

  it('is ended by silence after speech, told by the clock also when no more frames come (P54)', async () => {
    await start();
    const socket = await startLean(fleet);
    await socket.speak(speak([1, 2]));
    const took = stopwatch();
    expect((await socket.next('finalize_pending')).reason).toBe('vad_silence_timeout');
    expect(took()).toBeLessThan(1_300);
    await socket.closed;
    expect(finals(socket)[1]).toEqual([transcript([1, 2]), false]);
  });

  it('is ended when a client that said nothing sends no more (P54)', async () => {
    await start();
    const socket = await startLean(fleet);
    await socket.send(silence(200));
    const sinceMs = performance.now();
    const took = stopwatch();
    expect((await socket.next('finalize_pending')).reason).toBe('inactivity_timeout');
    expect(performance.now() - sinceMs).toBeGreaterThan(1_400);
    expect(took()).toBeLessThan(2_500);
    await socket.closed;
    expect(finals(socket)).toEqual([
      ['', true],
      ['', false],
    ]);
  });

  it('is ended when it is as long as it may be (P54)', async () => {
    await start({ STREAM_MAX_UTTERANCE_MS: '1000' });
    const socket = await startLean(fleet);
    await socket.speak(speak(range(1, 5)));
    expect((await socket.next('finalize_pending')).reason).toBe('max_utterance_timeout');
    await socket.closed;
    expect(finals(socket)[1]?.[0]).toMatch(/^w1 w2/);
  });

  it('tells the provisional text at once, while the engine is at the rest (P55)', async () => {
    const engine = await start();
    const socket = await startLean(fleet);
    await socket.speak(speak(range(1, 4)));
    engine.stall();
    await socket.send(speak([5]));
    await socket.send({ type: 'stop' });
    const { provisional, text } = await socket.next('final_transcript');
    expect([provisional, text.startsWith('w1')]).toEqual([true, true]);
    expect(socket.all('final_transcript')).toHaveLength(1);
    engine.resume();
    await socket.closed;
    expect(finals(socket)[1]).toEqual([transcript(range(1, 5)), false]);
  });

  it('keeps partials of dots back, and tells so in debug only (P56, P57)', async () => {
    const engine = new ScriptedEngine({ spell: () => '......' });
    await start({ STREAM_DEBUG: '1' }, engine);
    const socket = await startLean(fleet);
    await socket.speak(speak(range(1, 5)));
    await socket.send({ type: 'stop' });
    await socket.closed;
    expect(socket.all('partial_transcript')).toEqual([]);
    const rejects = socket.all('debug').filter(({ event }) => event === 'partial_reject');
    expect(rejects[0]).toMatchObject({ alpha_ratio: 0, unique_ratio: expect.any(Number) });
  });

  it('tells debug events where they are asked for, and none elsewhere (P57)', async () => {
    await start({ STREAM_DEBUG: '1' });
    const speakAndStop = async (): Promise<LeanSocket> => {
      const socket = await startLean(fleet);
      await socket.speak(speak(range(1, 6)));
      await socket.send({ type: 'stop' });
      await socket.closed;
      return socket;
    };
    const debugs = (await speakAndStop()).all('debug');
    const named = (name: string) => debugs.filter(({ event }) => event === name);
    expect(named('heartbeat').length).toBeGreaterThanOrEqual(2);
    expect(named('heartbeat')[0]).toMatchObject({ pcm_ms: expect.any(Number) });
    expect(named('finalize_trigger')).toEqual([
      {
        type: 'debug',
        event: 'finalize_trigger',
        reason: 'explicit_stop',
        duration_ms: expect.any(Number),
        buffer_bytes: speak(range(1, 6)).length,
      },
    ]);
    for (const marker of ['t_partial_first', 't_finalize_start'])
      expect(named(marker)).toMatchObject([{ t: expect.any(Number) }]);

    await addLean(fleet);
    expect((await speakAndStop()).all('debug')).toEqual([]);
  });

  it('keeps each final text in a file that only its owner may read, and says in debug when it cannot (P59)', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lean-'));
    try {
      const saveDir = join(folder, 'transcripts');
      await start({ STREAM_SAVE_DIR: saveDir });
      for (const word of [1, 2]) {
        const socket = await startLean(fleet);
        await socket.send(speak([word]));
        await socket.send({ type: 'stop' });
        await socket.closed;
      }
      const files = readdirSync(saveDir);
      expect(files).toHaveLength(2);
      for (const file of files) expect(file).toMatch(/^[\w-]+_sess_[\da-f]+_utt_[\da-f]+\.txt$/);
      const texts = files.map((file) => readFileSync(join(saveDir, file), 'utf8'));
      expect(texts.sort()).toEqual(['w1\n', 'w2\n']);
      expect(files.map((file) => statSync(join(saveDir, file)).mode & 0o777)).toEqual([
        0o600, 0o600,
      ]);

      // A file where the folder should be.
      await addLean(fleet, { STREAM_SAVE_DIR: join(saveDir, files[0] ?? ''), STREAM_DEBUG: '1' });
      const socket = await startLean(fleet);
      await socket.send({ type: 'stop' });
      await socket.closed;
      expect(socket.all('debug').at(-1)).toMatchObject({ event: 'save_error' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('answers what it does not understand with an error, and goes on', async () => {
    await start();
    const socket = dialLean(fleet);
    const bad: [object | string | Buffer, string][] = [
      ['no json', 'BAD_JSON'],
      ['[1]', 'BAD_JSON'],
      ['{"type":"start","sample_rate":"fast"}', 'BAD_JSON'],
      [{ type: 'cancel' }, 'UNKNOWN_TYPE'],
      [{}, 'UNKNOWN_TYPE'],
      [Buffer.alloc(3), 'BAD_FRAME'],
      [Buffer.alloc(65_538), 'BAD_FRAME'],
      // Before its start.
      [Buffer.alloc(640), 'BAD_FRAME'],
      [{ type: 'stop' }, 'BAD_FRAME'],
      [{ type: 'start', sample_rate: 8_000 }, 'BAD_FRAME'],
    ];
    for (const [nth, [frame, code]] of bad.entries()) {
      await socket.send(frame);
      expect(await socket.next('error', nth)).toMatchObject({ code, recoverable: true });
    }
    await socket.send({ type: 'start', sample_rate: 16_000 });
    await socket.next('info', 1);
    await socket.send({ type: 'start' });
    expect(await socket.next('error', bad.length)).toMatchObject({ code: 'BAD_FRAME' });
    await socket.send(speak([1]));
    await socket.send({ type: 'stop' });
    await socket.closed;
    expect(finals(socket)[1]).toEqual(['w1', false]);
  });

  it('fails with its engine, and says so before it closes', async () => {
    const engine = new ScriptedEngine();
    engine.open = () => {
      throw new Error('broken');
    };
    await start({ FAILOVER_TIMEOUT_S: '0.5' }, engine);
    const socket = await startLean(fleet);
    await socket.send(speak([1]));
    expect(await socket.next('error')).toMatchObject({ code: 'ASR_FAIL', recoverable: false });
    expect((await socket.closed).code).toBe(1000);
  });

  it('needs a key unless it is open, and gives its slot back when its client vanishes', async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 1 })]);
    await addLean(fleet, { LEAN_OPEN: '0', VOXTRAL_API_KEY: KEY });
    const refused = dialLean(fleet);
    expect(await refused.next('error')).toMatchObject({
      code: 'UNAUTHORIZED',
      recoverable: false,
    });
    expect((await refused.closed).code).toBe(1008);
    const first = dialLean(fleet, `?api_key=${KEY}`);
    await first.next('protocol');
    const second = dialLean(fleet, `?api_key=${KEY}`);
    expect(await second.next('error')).toMatchObject({ code: 'AT_CAPACITY' });
    expect((await second.closed).code).toBe(1013);
    first.terminate();
    const leased = async () => (await fleet.get('/readyz')).body['leased'];
    await until(async () => (await leased()) === 0, 'the slot is given back');
  });

  it('is not mixed up with another session at the same time', async () => {
    await start();
    const sockets = await Promise.all([startLean(fleet), startLean(fleet)]);
    await Promise.all(
      sockets.map(async (socket, nth) => {
        await socket.speak(speak(range(10 * nth + 1, 10 * nth + 4)));
        await socket.send({ type: 'stop' });
        await socket.closed;
      }),
    );
    expect(sockets.map((socket) => finals(socket)[1]?.[0])).toEqual([
      transcript(range(1, 4)),
      transcript(range(11, 14)),
    ]);
  });
});
