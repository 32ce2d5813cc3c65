import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { YapServerFrame } from '@voice-fleet/protocol/yap';
import { frames, range, SLOT_SAMPLES, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet, KEY } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';
import type { YapSocket } from '../support/yap-socket.ts';

let fleet: Fleet;
let engine: ScriptedEngine;

const RESUMABLE = `?api_key=${KEY}&resumable=1`;
const resumed = (token: string, lastSeq: number, key = KEY): string =>
  `?api_key=${key}&resume_token=${token}&last_seq=${lastSeq}`;

const lastSeq = (socket: YapSocket): number =>
  Math.max(0, ...socket.received.map((frame) => frame.seq ?? 0));

const textOf = (all: readonly YapServerFrame[]): string =>
  all.map((frame) => (frame.type === 'token' ? frame.payload.text : '')).join('');

/** A client that may resume, and its token. */
async function dialResumable(gateway = 0): Promise<{ socket: YapSocket; token: string }> {
  const socket = fleet.dial({ query: RESUMABLE, gateway });
  const { payload } = await socket.next('session.created');
  return { socket, token: payload.resume?.token ?? '' };
}

async function take(token: string, seq: number, gateway: number) {
  const socket = fleet.dial({ query: resumed(token, seq), gateway });
  const { payload } = await socket.next('session.resumed');
  return { socket, token: payload.resume.token, open: payload.open };
}

const ready = (gateway: number): Promise<void> =>
  until(async () => (await fleet.get('/readyz', gateway)).status === 200, 'the gateway is ready');

async function refused(query: string): Promise<void> {
  const socket = fleet.dial({ query, gateway: 1 });
  const error = await socket.next('error');
  expect(error.payload.details.reason_code).toBe('resume_refused');
  expect((await socket.closed).code).toBe(4006);
}

describe('a session that can be resumed', () => {
  beforeEach(async () => {
    engine = new ScriptedEngine();
    fleet = await Fleet.start([engine]);
    await fleet.addGateway();
    await ready(1);
  });
  afterEach(() => fleet[Symbol.asyncDispose]());

  it('goes on at another gateway without a word or a frame lost or doubled', async () => {
    const said = speak(range(1, 12));
    const first = await dialResumable();
    first.socket.start('a');
    for (const frame of frames(said.subarray(0, said.length / 2))) first.socket.append('a', frame);
    await until(() => textOf(first.socket.received).includes('w5'), 'five words are told');
    first.socket.terminate();
    const seq = lastSeq(first.socket);

    const second = await take(first.token, seq, 1);
    expect(second.open?.request_id).toBe('a');
    const from = (second.open?.from_sample ?? 0) * 2;
    expect(from).toBeGreaterThan(0);
    for (const frame of frames(said.subarray(from))) second.socket.append('a', frame);
    second.socket.finalize('a');
    const final = await second.socket.next('final');
    expect(final.payload.normalized_text).toBe(transcript(range(1, 12)));
    await second.socket.next('done');
    const all = [...first.socket.received, ...second.socket.received];
    expect(textOf(all)).toBe(transcript(range(1, 12)));
    const numbers = all.flatMap((frame) => frame.seq ?? []);
    expect(numbers).toEqual(range(1, numbers.length));
  });

  it('brings the frames that its client has not got, among them the end of an utterance', async () => {
    const { socket, token } = await dialResumable();
    socket.say('a', speak([1, 2, 3]));
    await socket.next('done');
    const missed = socket.received.filter((frame) => (frame.seq ?? 0) > 1);
    socket.terminate();
    const again = await take(token, 1, 1);
    expect(again.open).toBeUndefined();
    await again.socket.next('final');
    await again.socket.next('done');
    expect(again.socket.received.filter((frame) => frame.seq)).toEqual(missed);
    again.socket.say('b', speak([4, 5]));
    expect((await again.socket.next('final')).payload.normalized_text).toBe('w4 w5');
  });

  it('acknowledges audio as it is booked, and tells from where it must be kept', async () => {
    const { socket } = await dialResumable();
    socket.start('a');
    const said = speak(range(1, 15));
    for (const frame of frames(said)) socket.append('a', frame);
    await until(
      () =>
        socket.received.some(
          (frame) => frame.type === 'ack' && frame.payload.accepted_samples === said.length / 2,
        ),
      'all of it is acknowledged',
    );
    const acks = socket.received.flatMap((frame) => (frame.type === 'ack' ? [frame] : []));
    const last = acks.at(-1);
    expect(last?.request_id).toBe('a');
    expect(last?.seq).toBeUndefined();
    // Word 14 is told; two seconds before its end.
    expect(last?.payload.keep_from_sample).toBeGreaterThan(14 * 6_400 - 4 * 16_000);
    const rows = await fetch(`http://127.0.0.1:${fleet.gateways[1]?.port}/v1/usage`, {
      headers: { 'x-api-key': KEY },
    });
    expect(await rows.json()).toMatchObject({ audio_seconds: said.length / 2 / 16_000 });
  });

  it('is taken away from a connection that still lives', async () => {
    const { socket, token } = await dialResumable();
    await take(token, 1, 1);
    expect((await socket.closed).code).toBe(4005);
  });

  it('is not fought for by a connection that still lives', async () => {
    const { socket, token } = await dialResumable();
    socket.start('a');
    socket.append('a', speak([1, 2, 3]));
    await socket.next('token');
    const second = await take(token, lastSeq(socket), 1);
    const from = (second.open?.from_sample ?? 0) * 2;
    for (const frame of frames(speak(range(1, 12)).subarray(from))) {
      second.socket.append('a', frame);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    second.socket.finalize('a');
    expect((await second.socket.next('final')).payload.normalized_text).toBe(
      transcript(range(1, 12)),
    );
    const page = await fetch(`http://127.0.0.1:${fleet.gateways[1]?.internalPort}/metrics`);
    expect(await page.text()).toContain('voice_gateway_workers_lost_total 0');
  });

  it('is booked to its last sample when it ends while Redis hangs', async () => {
    const { socket } = await dialResumable();
    socket.start('a');
    socket.append('a', speak([1, 2]));
    await until(() => socket.received.some((frame) => frame.type === 'ack'), 'it is saved');
    fleet.redis.freeze();
    socket.append('a', speak([3, 4, 5]));
    await until(() => engine.takenSamples === 5 * SLOT_SAMPLES, 'all of it was heard');
    socket.terminate();
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    fleet.redis.thaw();
    await until(async () => {
      const rows = await fetch(`http://127.0.0.1:${fleet.gateways[1]?.port}/v1/usage`, {
        headers: { 'x-api-key': KEY },
      });
      const { audio_seconds } = (await rows.json()) as { audio_seconds?: number };
      return audio_seconds === (5 * SLOT_SAMPLES) / 16_000;
    }, 'all of it is booked');
  });

  it('gives a token anew to a client that did not get the last one', async () => {
    const { socket, token } = await dialResumable();
    socket.terminate();
    const lost = await take(token, 1, 1);
    await until(() => lost.socket.received.some((frame) => frame.type === 'ack'), 'it is saved');
    lost.socket.terminate();
    const again = await take(token, 1, 0);
    again.socket.say('a', speak([1, 2]));
    expect((await again.socket.next('final')).payload.normalized_text).toBe('w1 w2');
    await again.socket.next('done');
    await refused(resumed(token, 1));
  });

  it('cannot be resumed with a token that is used, wrong or broken, nor after its end', async () => {
    const { socket, token } = await dialResumable();
    await refused(resumed('nonsense', 1));
    await refused(resumed(`${token.slice(0, -3)}xyz`, 1));
    await refused(resumed(token, 99));
    socket.send('end', 'bye');
    expect((await socket.closed).code).toBe(1000);
    await refused(resumed(token, 1));
  });

  it('cannot be resumed after its time', async () => {
    await fleet.addGateway({ RESUME_TTL_S: '3' });
    await ready(2);
    const { socket, token } = await dialResumable(2);
    socket.terminate();
    await new Promise((resolve) => setTimeout(resolve, 3_300));
    await refused(resumed(token, 1));
  });

  it('is told to move when its gateway stops, and goes on elsewhere', async () => {
    const { socket, token } = await dialResumable();
    socket.start('a');
    socket.append('a', speak([1, 2, 3]));
    await socket.next('token');
    const stopped = fleet.gateways.shift()?.close();
    const status = await socket.next('status');
    expect(status.payload.kind).toBe('shutdown');
    expect((await socket.closed).code).toBe(1012);
    await stopped;
    const second = await take(token, lastSeq(socket), 0);
    const from = (second.open?.from_sample ?? 0) * 2;
    second.socket.append('a', speak(range(1, 6)).subarray(from));
    second.socket.finalize('a');
    expect((await second.socket.next('final')).payload.normalized_text).toBe(
      transcript(range(1, 6)),
    );
  });

  it('goes on while Redis is away, and can be resumed when it is back, even empty', async () => {
    const { socket, token } = await dialResumable();
    socket.start('a');
    socket.append('a', speak([1, 2]));
    await socket.next('token');
    await fleet.redis.kill();
    socket.append('a', speak([3, 4]));
    await until(() => textOf(socket.received).includes('w3'), 'words come without Redis');
    await fleet.redis.restart();
    for (const gateway of [0, 1]) await ready(gateway);
    socket.append('a', speak([5, 6]));
    const back = socket.received.length;
    await until(
      () => socket.received.slice(back).some((frame) => frame.type === 'ack'),
      'it is saved again',
    );
    socket.terminate();
    const again = await take(token, lastSeq(socket), 1);
    const from = (again.open?.from_sample ?? 0) * 2;
    again.socket.append('a', speak(range(1, 8)).subarray(from));
    again.socket.finalize('a');
    expect((await again.socket.next('final')).payload.normalized_text).toBe(
      transcript(range(1, 8)),
    );
  });
});
