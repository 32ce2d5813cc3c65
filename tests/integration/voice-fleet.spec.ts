import { afterEach, describe, expect, it } from '@jest/globals';
import { range, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { stopwatch } from '../support/stopwatch.ts';
import { Turns } from '../support/turns.ts';
import { until } from '../support/until.ts';

let fleet: Fleet;
let turns: Turns | undefined;
afterEach(async () => {
  await fleet[Symbol.asyncDispose]();
  await turns?.[Symbol.asyncDispose]();
  turns = undefined;
});

class BrokenEngine extends ScriptedEngine {
  override async start(): Promise<void> {
    throw new Error('no such model');
  }
}

const active = async (): Promise<unknown> => (await fleet.get('/health')).body['active_sessions'];

describe('a model that cannot be loaded', () => {
  it('P43: is MODEL_LOAD_FAIL and a closed socket, until a worker is ready', async () => {
    fleet = await Fleet.start([]);
    await expect(fleet.addWorker(new BrokenEngine())).rejects.toThrow('no such model');
    await until(
      async () => (await fleet.get('/readyz')).body['reason'] === 'model_load_failed',
      'the fleet knows',
    );
    const socket = fleet.dialVoice();
    expect(await socket.next('error')).toMatchObject({
      code: 'MODEL_LOAD_FAIL',
      recoverable: false,
    });
    expect((await socket.closed).code).toBe(1011);
    await fleet.addWorker(new ScriptedEngine());
    await fleet.ready();
    await fleet.voice();
  });

  it('P43: is no word of a fleet that has just no worker', async () => {
    fleet = await Fleet.start([]);
    const socket = fleet.dialVoice();
    expect(await socket.next('error')).toMatchObject({ code: 'AT_CAPACITY', recoverable: false });
  });
});

describe('P45: a gateway that is told to stop', () => {
  it('tells every voice session; those that wait for a start go at once, others when their turn is over', async () => {
    turns = await Turns.start();
    fleet = await Fleet.start([new ScriptedEngine()], { DRAIN_S: '5', LLM_TTS_URL: turns.url });
    const [idle, busy] = await Promise.all([fleet.voice(), fleet.voice()]);
    turns.chat.next({ tokens: tokensOf('This takes a little while.'), gapMs: 100 });
    busy.say(speak([1]));
    await busy.next('llm_token');
    const wasTold = stopwatch();
    const wasOver = stopwatch();
    const stopped = fleet.gateways.shift()?.close();
    for (const socket of [idle, busy])
      expect(await socket.coded('SHUTDOWN')).toMatchObject({ type: 'info', reason: 'shutdown' });
    expect((await idle.closed).code).toBe(1012);
    expect(wasTold()).toBeLessThan(1000);
    expect((await busy.closed).code).toBe(1012);
    expect(busy.story.at(-1)).toBe('tts_complete');
    await stopped;
    expect(wasOver()).toBeLessThan(4000);
  });

  it('waits no longer than DRAIN_S for a reply, whose upstream is left', async () => {
    turns = await Turns.start();
    fleet = await Fleet.start([new ScriptedEngine()], { DRAIN_S: '0.5', LLM_TTS_URL: turns.url });
    const socket = await fleet.voice();
    turns.chat.next({ tokens: tokensOf('And on'), gapMs: 20, fault: { kind: 'endless' } });
    socket.say(speak([1]));
    await socket.next('llm_token');
    const took = stopwatch();
    await fleet.gateways.shift()?.close();
    expect(took()).toBeLessThan(1500);
    expect((await socket.closed).code).toBe(1012);
    await turns.chat.last.exchange.closed;
  });
});

describe('P46: clients that vanish', () => {
  it('leave nothing behind, two hundred of them', async () => {
    turns = await Turns.start();
    const engine = new ScriptedEngine({ slots: 250 });
    fleet = await Fleet.start([engine], { LLM_TTS_URL: turns.url });
    turns.chat.reply = () => ({
      tokens: tokensOf('And on and on'),
      gapMs: 50,
      fault: { kind: 'endless' },
    });
    for (const batch of range(1, 10)) {
      const sockets = await Promise.all(range(1, 20).map(() => fleet.voice()));
      for (const [index, socket] of sockets.entries()) {
        socket.start();
        socket.speak(speak([batch]));
        // A third amid speech, a third amid a reply, a third while one listens.
        if (index % 3 > 0) socket.stop();
      }
      await Promise.all(
        sockets.map(async (socket, index) => {
          if (index % 3 > 0) await socket.next('llm_token');
          if (index % 3 > 1) socket.speak(speak([1]));
          socket.terminate();
        }),
      );
    }
    await until(async () => (await active()) === 0, 'no session is counted');
    await until(() => engine.openStreams === 0, 'no engine works for anybody');
    await until(
      () => turns?.chat.calls.every(({ exchange }) => exchange.abortedMs !== undefined) ?? false,
      'every model was left',
    );
    const metrics = await fleet.metrics();
    expect(metrics).toContain('voice_gateway_sessions_active{protocol="voice"} 0');
    expect(metrics).toContain('voice_gateway_outbox_waiting_events 0');
    const socket = await fleet.voice();
    socket.say(speak(range(1, 3)), { mode: 'transcribe' });
    expect((await socket.next('final_transcript')).text).toBe(transcript(range(1, 3)));
  });
});
