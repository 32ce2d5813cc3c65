import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TurnEvent } from '@voice-fleet/protocol/turn';
import { range, silence, speak } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine, ScriptedStream } from '../support/scripted-engine.ts';
import { type ScriptedTurn, ScriptedTurns } from '../support/scripted-turns.ts';
import { until } from '../support/until.ts';
import type { VoiceSocket } from '../support/voice-socket.ts';

const token = (chars: number): TurnEvent => ({
  type: 'token',
  text: 'x'.repeat(chars),
  done: false,
});
const COMPLETE: TurnEvent = { type: 'complete', outcome: 'spoken', tokens: 1, phrases: 0 };
const DONE: TurnEvent = { type: 'token', text: '', done: true };

let turns: ScriptedTurns;
let fleet: Fleet;

beforeEach(async () => {
  turns = await ScriptedTurns.start();
  fleet = await Fleet.start([new ScriptedEngine()], {
    LLM_TTS_URL: turns.url,
    STREAM_PARTIAL_INTERVAL_MS: '250',
    LOG_LEVEL: 'debug',
  });
});
afterEach(async () => {
  await fleet[Symbol.asyncDispose]();
  await turns[Symbol.asyncDispose]();
});

const entered = async (): Promise<number> =>
  Number(/voice_gateway_backpressure_total (\d+)/.exec(await fleet.metrics())?.[1]);

const waiting = async (): Promise<number> =>
  Number(/voice_gateway_outbox_waiting_events (\d+)/.exec(await fleet.metrics())?.[1]);

/** Answers until the client, which does not read, has so much waiting that it is told so. */
async function fill(turn: ScriptedTurn, times: number): Promise<void> {
  await until(async () => {
    if (turn.unread < 500_000) turn.say(...range(1, 50).map(() => token(8000)));
    return (await entered()) === times;
  }, 'the client is behind');
}

const pressures = (socket: VoiceSocket): (boolean | undefined)[] =>
  socket
    .of('info')
    .filter(({ code }) => code === 'BACKPRESSURE')
    .map(({ active }) => active);

describe('P34: a client that reads slowly', () => {
  it('is told once that it is behind and once that it has caught up, each time; nothing is lost', async () => {
    const socket = await fleet.voice();
    socket.say(speak([1]));
    const turn = await turns.next();
    for (const time of [1, 2]) {
      socket.socket.pause();
      await fill(turn, time);
      // The reply is not read on: it does not pile up here.
      const before = await waiting();
      expect(before).toBeGreaterThanOrEqual(50);
      turn.say(...range(1, 100).map(() => token(8000)));
      await fleet.get('/health');
      expect(await waiting()).toBeLessThan(before + 50);
      socket.socket.resume();
      await until(async () => (await waiting()) === 0, 'it has caught up');
    }
    turn.say(DONE, COMPLETE);
    turn.end();
    await socket.next('tts_complete');
    expect(pressures(socket)).toEqual([true, false, true, false]);
    expect(await entered()).toBe(2);
    const logged = fleet.logged.filter(({ event }) => event === 'backpressure');
    expect(logged.map((line) => line['active'])).toEqual([true, false, true, false]);
  });

  it('gets spoken phrases of any size, and is not cut off for them', async () => {
    const socket = await fleet.voice();
    socket.say(speak([1]));
    const turn = await turns.next();
    turn.say(token(1));
    await socket.next('llm_token');
    socket.socket.pause();
    const audio = 'A'.repeat(600_000);
    for (const phrase of range(0, 39)) {
      turn.say(
        { type: 'speech', phrase, audio, sampleRate: 16_000, durationMs: 1 },
        { type: 'phrase_done', phrase },
      );
    }
    turn.say(DONE, COMPLETE);
    turn.end();
    await until(() => turn.unread > 1_000_000, 'the gateway reads no further');
    socket.socket.resume();
    await socket.next('tts_complete');
    expect(socket.of('tts_chunk').map(({ seq }) => seq)).toEqual(range(0, 39));
  });
});

describe('an llm-tts that breaks its word', () => {
  it.each<[string, (turn: ScriptedTurn) => void]>([
    ['says something that is no event', (turn) => turn.raw('{"type":"dance"}\n')],
    ['says something that is no JSON', (turn) => turn.raw('<html>\n')],
    ['ends without an end', (turn) => turn.end()],
    ['is cut off', (turn) => turn.cut()],
    ['says one thing without end', (turn) => turn.raw('x'.repeat(5_000_000))],
  ])('%s: the turn is LLM_FAIL, and the next one works', async (_what, break_) => {
    const socket = await fleet.voice();
    socket.say(speak([1]));
    const turn = await turns.next();
    turn.say(token(1));
    await socket.next('llm_token');
    break_(turn);
    expect(await socket.coded('LLM_FAIL')).toMatchObject({ recoverable: true });
    await turn.closed;
    await socket.latency();
    socket.say(speak([2]));
    const next = await turns.next();
    next.say(token(1), DONE, COMPLETE);
    next.end();
    await socket.next('tts_complete');
  });
});

/** Takes twice as long as its audio lasts. */
class SlowEngine extends ScriptedEngine {
  override open(): ScriptedStream {
    const stream = super.open() as ScriptedStream;
    const write = stream.write.bind(stream);
    stream.write = async (pcm) => {
      await new Promise((resolve) => setTimeout(resolve, pcm.length / 16));
      await write(pcm);
    };
    return stream;
  }
}

describe('P35, P38: an engine that is slower than speech', () => {
  it('is logged with its factor, advised on once, and told at the end', async () => {
    await fleet.addWorker(new SlowEngine({ slots: 8 }));
    await fleet.workers.shift()?.close();
    await fleet.ready();
    const socket = await fleet.voice();
    for (const word of [1, 2]) {
      socket.start({ mode: 'transcribe' });
      await socket.speakLive(Buffer.concat([speak([word]), silence(1200)]));
      socket.stop();
      await socket.latency();
    }
    const decodes = fleet.logged.filter(({ event }) => event === 'decode');
    expect(decodes.length).toBeGreaterThanOrEqual(4);
    for (const line of decodes) {
      expect(line['rtf']).toBeGreaterThan(1.5);
      expect(line['sid']).toEqual(socket.of('info')[0]?.session_id);
    }
    const advices = socket.of('info').filter(({ code }) => code === 'RTF_ADVISORY');
    expect(advices).toHaveLength(1);
    const told = socket.received.filter((frame) => 'runs' in frame);
    expect(told).toHaveLength(2);
    expect(told[0]).toMatchObject({ runs: expect.any(Number), ms: expect.any(Number) });
    expect(await fleet.metrics()).toContain('voice_gateway_decode_rtf_count');
  });
});
