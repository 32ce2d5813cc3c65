import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { SileroStep } from '@voice-fleet/asr-worker/vad/silero-messages';
import { CONTEXT_SAMPLES, INPUT_SAMPLES } from '@voice-fleet/asr-worker/vad/silero-model';
import { SileroThread } from '@voice-fleet/asr-worker/vad/silero-thread-handle';
import { SpeechWatch } from '@voice-fleet/asr-worker/vad/speech-watch';
import type { Vad } from '@voice-fleet/asr-worker/vad/vad';
import {
  VADS,
  type VadChoice,
  VadLadder,
  type VadName,
} from '@voice-fleet/asr-worker/vad/vad-ladder';
import { systemClock } from '@voice-fleet/runtime/clock';
import { frames, silence } from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { fliteSays } from '../support/flite-voice.ts';
import { LinkWorker } from '../support/link-peer.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { clicks, extent, mix, rms, whiteNoise } from '../support/sounds.ts';
import { until } from '../support/until.ts';

const MS = 16;
const SILENCE_MS = 500;
const LEAD = silence(1_200);
const TRAIL = silence(1_500);

const noted = (): void => undefined;

type Told = { started?: number; ended?: number };

describe('detectors of voices', () => {
  /** The clock stands still but for the gathering of frames, so that a busy machine makes nothing late. */
  let clock: FakeClock;
  let phrases: Buffer[];
  let vad: VadLadder | undefined;
  let used: VadName[];
  let decided: Record<string, number>;
  let logged: string[];
  let threads: SileroThread[];

  beforeAll(async () => {
    phrases = await fliteSays([
      'What is the weather like in London today?',
      'Please turn on the light in the kitchen.',
      'Tell me something about the history of the telephone.',
    ]);
  });
  afterEach(() => vad?.stop());

  async function start(choice: VadChoice): Promise<VadLadder> {
    clock = new FakeClock();
    [used, decided, logged, threads] = [[], {}, [], []];
    vad = await VadLadder.start(choice, {
      clock,
      stats: {
        onVad: (name) => void used.push(name),
        onDecided: (by) => {
          decided[by] = (decided[by] ?? 0) + 1;
        },
        onStep: () => undefined,
        onRestart: () => undefined,
      },
      log: (event) => void logged.push(event),
      startThread: (listener) => {
        const thread = new SileroThread(clock, listener);
        threads.push(thread);
        return thread;
      },
    });
    return vad;
  }

  /** What is told of this audio, and by the end of it everything is. */
  async function hear(detector: Vad, pcm: Buffer): Promise<Told> {
    const told: Told = {};
    const samples = pcm.length / 2;
    let judged = 0;
    const counted: Vad = {
      name: detector.name,
      open: (listener) =>
        detector.open((from, to, voiced) => {
          judged = to;
          listener(from, to, voiced);
        }),
      stop: () => detector.stop(),
    };
    const watch = new SpeechWatch({
      vad: counted,
      clock,
      endpoint: { silenceMs: SILENCE_MS },
      fromSample: 0,
      onStarted: (sample) => {
        told.started = sample;
      },
      onEnded: (sample) => {
        told.ended = sample;
      },
    });
    for (const frame of frames(pcm)) watch.push(frame);
    clock.advance(32);
    await until(() => told.ended !== undefined || samples - judged < 512, 'all is judged');
    watch.close();
    return told;
  }

  /** Verdicts of all frames, one character each. */
  async function verdicts(detector: Vad, ...audio: Buffer[]): Promise<string[]> {
    const found = audio.map(() => '');
    const streams = audio.map((_, nth) =>
      detector.open((_from, _to, voiced) => {
        found[nth] += voiced ? 'v' : '.';
      }),
    );
    for (const [nth, stream] of streams.entries()) stream.push(audio[nth] ?? Buffer.alloc(0));
    clock.advance(32);
    const whole = (nth: number): number => Math.floor((audio[nth]?.length ?? 0) / 1_024);
    await until(() => found.every((one, nth) => one.length === whole(nth)), 'all is judged');
    for (const stream of streams) stream.close();
    return found;
  }

  describe.each(VADS)('%s', (name) => {
    it('finds where a speaker begins and ends amid silence and clicks', async () => {
      const detector = await start(name);
      expect(detector.name).toBe(name);
      for (const phrase of phrases) {
        const spoken = Buffer.concat([LEAD, phrase, TRAIL]);
        const quiet = mix(spoken, clicks(LEAD.length / 2, 400 * MS));
        const truth = extent(spoken);
        const { started = -1, ended = -1 } = await hear(detector, quiet);
        expect(Math.abs(started - truth.from) / MS).toBeLessThan(150);
        expect(Math.abs(ended - truth.until) / MS).toBeLessThan(250);
      }
    });

    it('takes neither silence, nor clicks, nor hiss for a speaker', async () => {
      const detector = await start(name);
      const hiss = whiteNoise(6_000 * MS, 40);
      expect(await hear(detector, silence(6_000))).toEqual({});
      expect(await hear(detector, mix(hiss, clicks(6_000 * MS, 300 * MS)))).toEqual({});
    });
  });

  it.each(['silero', 'webrtc'] as const)(
    '%s hears a voice in noise a third as loud',
    async (name) => {
      const detector = await start(name);
      for (const phrase of phrases) {
        const spoken = Buffer.concat([LEAD, phrase, TRAIL]);
        const noise = whiteNoise(spoken.length / 2, rms(phrase) / 3);
        const truth = extent(spoken);
        const { started = -1, ended = -1 } = await hear(detector, mix(spoken, noise));
        expect(Math.abs(started - truth.from) / MS).toBeLessThan(250);
        expect(Math.abs(ended - truth.until) / MS).toBeLessThan(350);
      }
    },
  );

  it('Silero judges streams together as it judges each alone', async () => {
    const detector = await start('silero');
    const audio = [...phrases, Buffer.concat([LEAD, ...phrases]), whiteNoise(2_000 * MS, 2_000)];
    const alone: string[] = [];
    for (const pcm of audio) alone.push(...(await verdicts(detector, pcm)));
    expect(await verdicts(detector, ...audio)).toEqual(alone);
    expect(alone.slice(0, 4).every((one) => one.includes('vvvvvvvv'))).toBe(true);
    expect(decided['late']).toBeUndefined();
  });

  it('the network gives a stream the same in any company, and another stream nothing of it', async () => {
    let answered: (step: SileroStep) => void = () => undefined;
    const thread = await new Promise<SileroThread>((resolve, reject) => {
      const started: SileroThread = new SileroThread(new FakeClock(), {
        onReady: () => resolve(started),
        onStep: (step) => answered(step),
        onDown: (how) => reject(new Error(how)),
      });
    });
    const steps = 40;
    const input = (nth: number, step: number): Int16Array => {
      const samples = new Int16Array(INPUT_SAMPLES);
      for (let at = 0; at < INPUT_SAMPLES; at += 1) {
        const sample = step * 512 + at - CONTEXT_SAMPLES;
        if (sample >= 0) samples[at] = phrases[nth]?.readInt16LE(sample * 2) ?? 0;
      }
      return samples;
    };
    const judge = async (streams: number[], inputs: Int16Array[]): Promise<number[]> => {
      const samples = new Int16Array(streams.length * INPUT_SAMPLES);
      for (const [place, one] of inputs.entries()) samples.set(one, place * INPUT_SAMPLES);
      const [count, voices] = [streams.length, new Float32Array(streams.length)];
      const done = new Promise<SileroStep>((resolve) => {
        answered = resolve;
      });
      thread.step({ kind: 'step', count, streams: Uint32Array.from(streams), samples, voices });
      return Array.from((await done).voices);
    };
    const alone: number[][] = [[], [], []];
    for (const [nth, found] of alone.entries())
      for (let step = 0; step < steps; step += 1)
        found.push(...(await judge([nth], [input(nth, step)])));
    // The streams begin one after the other, so that their places in the batch change.
    const together: number[][] = [[], [], []];
    for (let turn = 0; turn < steps + 10; turn += 1) {
      const here = [2, 1, 0].filter((nth) => turn >= nth * 5 && turn < nth * 5 + steps);
      const inputs = here.map((nth) => input(nth, turn - nth * 5));
      const found = await judge(
        here.map((nth) => nth + 10),
        inputs,
      );
      for (const [place, nth] of here.entries()) together[nth]?.push(found[place] ?? -1);
    }
    for (const [nth, expected] of alone.entries()) {
      expect(together[nth]).toHaveLength(steps);
      expect(Math.max(...expected)).toBeGreaterThan(0.9);
      for (const [step, voice] of expected.entries())
        expect(together[nth]?.[step]).toBeCloseTo(voice, 4);
    }
    await thread.stop();
  });

  describe('when the thread of Silero fails', () => {
    /** A step it cannot take: the network throws, and the thread ends of it. */
    function breakThread(): void {
      threads.at(-1)?.step({
        kind: 'step',
        count: 1_000,
        streams: new Uint32Array(1),
        samples: new Int16Array(1),
        voices: new Float32Array(1),
      });
    }

    it('starts another, and after that goes on with WebRTC amid an utterance', async () => {
      const detector = await start('auto');
      expect([detector.name, used]).toEqual(['silero', ['silero']]);
      let told = 0;
      let last = 0;
      let voiced = 0;
      const stream = detector.open((from, to, isVoiced) => {
        // Nothing is told twice, and only where another took over is a part of a frame left out.
        expect(from).toBeGreaterThanOrEqual(last);
        expect(from - last).toBeLessThan(512);
        [last, told, voiced] = [to, told + 1, voiced + (isVoiced ? 1 : 0)];
      });
      const [phrase = Buffer.alloc(0)] = phrases;
      const say = async (): Promise<number> => {
        const before = voiced;
        const toldBefore = told;
        stream.push(phrase);
        await until(() => {
          clock.advance(32);
          return told - toldBefore >= phrase.length / 1_024 - 2;
        }, 'a phrase is judged');
        return voiced - before;
      };
      expect(await say()).toBeGreaterThan(20);
      breakThread();
      await until(() => logged.includes('vad_thread_down'), 'the thread is down');
      expect(await say()).toBeGreaterThan(20);
      expect([detector.name, threads.length]).toEqual(['silero', 2]);
      breakThread();
      await until(() => logged.includes('vad_fell_back'), 'it has fallen back');
      expect([detector.name, used]).toEqual(['webrtc', ['silero', 'webrtc']]);
      expect(await say()).toBeGreaterThan(20);
      stream.close();
    });
  });

  it('a worker with Silero tells on the link where real speech begins and ends when no more is sent (P11)', async () => {
    const detector = await VadLadder.start('silero', {
      clock: systemClock,
      stats: { onVad: noted, onDecided: noted, onStep: noted, onRestart: noted },
      log: noted,
    });
    await using worker = await LinkWorker.start({ engine: new ScriptedEngine(), vad: detector });
    try {
      const peer = await worker.linked('s');
      const [phrase = Buffer.alloc(0)] = phrases;
      // Nothing but the voice, so that no audio tells of its end.
      const spoken = extent(phrase);
      const from = 5_000;
      peer.start(1, from, undefined, { silenceMs: 700 });
      for (const frame of frames(phrase.subarray(0, spoken.until * 2))) peer.audio(frame);
      const started = await peer.told('speech_started');
      const ended = await peer.told('speech_ended');
      expect(Math.abs(started.sample - from - spoken.from) / MS).toBeLessThan(200);
      expect(Math.abs(ended.sample - from - spoken.until) / MS).toBeLessThan(250);
    } finally {
      await detector.stop();
    }
  });

  it('the worker says which it uses, in its log, its health and its metrics, and stops it', async () => {
    await using worker = new ServiceProcess('asr-worker', {
      REDIS_URL: 'redis://127.0.0.1:1',
      ASR_ENGINE: 'vllm',
      VLLM_BASE_URL: 'http://127.0.0.1:1',
      ASR_VAD: 'auto',
    });
    expect(await worker.logged('vad')).toMatchObject({ vad: 'silero' });
    const { internalPort, port } = await worker.logged('listening');
    const readiness = await (await fetch(`http://127.0.0.1:${String(port)}/readyz`)).json();
    expect(readiness).toMatchObject({ vad: 'silero' });
    const page = await (await fetch(`http://127.0.0.1:${String(internalPort)}/metrics`)).text();
    expect(page).toContain('voice_worker_vad{name="silero"} 1');
    expect(page).toContain('voice_worker_vad{name="webrtc"} 0');
    worker.child.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
  });
});
