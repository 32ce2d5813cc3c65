import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type EngineEvent,
  type EngineStream,
  StreamFault,
} from '@voice-fleet/asr-worker/engines/engine';
import {
  PROCESS_DEFAULTS,
  ProcessEngine,
  type ProcessSettings,
} from '@voice-fleet/asr-worker/engines/process/engine';
import { systemClock as clock } from '@voice-fleet/runtime/clock';
import type { Word } from '@voice-fleet/speech/words';
import {
  frames,
  range,
  SLOT_SAMPLES,
  silence,
  speak,
  transcript,
} from '@voice-fleet/testkit/coded-speech';
import {
  FAKE_VOXTRAL,
  FakeModelDir,
  type FakeVoxtralOptions,
  fakeVoxtralEnv,
} from '@voice-fleet/testkit/fake-voxtral/fake-voxtral';
import { until } from '../support/until.ts';

const TWENTY = range(1, 20);
/** As the worker writes. */
const PIECE_MS = 100;

type Line = Record<string, unknown> & { readonly event: string };

let folder: string;
let model: FakeModelDir;
let engines: ProcessEngine[];
let lines: Line[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vf-process-'));
  model = await FakeModelDir.create();
  engines = [];
  lines = [];
});

afterEach(async () => {
  await Promise.all(engines.map((engine) => engine.stop()));
  await model[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
  expect(pids().filter(isThere)).toEqual([]);
});

function engineWith(
  options: FakeVoxtralOptions = {},
  settings: Partial<ProcessSettings> = {},
): ProcessEngine {
  const engine = new ProcessEngine(
    {
      ...PROCESS_DEFAULTS,
      binary: FAKE_VOXTRAL,
      modelDir: model.path,
      model: 'voxtral',
      slots: 2,
      env: fakeVoxtralEnv(options),
      ...settings,
    },
    { clock, log: (event, fields) => lines.push({ ...fields, event }) },
  );
  engines.push(engine);
  return engine;
}

function open(engine: ProcessEngine, sessionId = 's1', attempt = 0): EngineStream {
  return engine.open({}, { sessionId, utterance: 1, attempt });
}

/** What a stream told so far. */
class Heard {
  readonly events: EngineEvent[] = [];
  readonly over: Promise<unknown>;

  constructor(stream: EngineStream) {
    this.over = (async () => {
      try {
        for await (const event of stream.events) this.events.push(event);
      } catch (error) {
        return error;
      }
      return undefined;
    })();
  }

  get words(): readonly Word[] {
    return this.events.flatMap((event) => (event.kind === 'words' ? event.words : []));
  }

  get text(): string {
    return this.words.map((word) => word.text).join('');
  }

  get ended(): boolean {
    return this.events.at(-1)?.kind === 'end';
  }
}

function begin(...of: Parameters<typeof open>): { stream: EngineStream; heard: Heard } {
  const stream = open(...of);
  return { stream, heard: new Heard(stream) };
}

async function feed(stream: EngineStream, pcm: Buffer): Promise<void> {
  for (const piece of frames(pcm, PIECE_MS)) await stream.write(piece);
}

async function listen(stream: EngineStream, pcm: Buffer): Promise<Heard> {
  const heard = new Heard(stream);
  await feed(stream, pcm);
  stream.finish();
  expect(await heard.over).toBeUndefined();
  return heard;
}

async function faultOf(work: Promise<unknown>): Promise<StreamFault> {
  const error = await work.catch((thrown: unknown) => thrown);
  if (error instanceof StreamFault) return error;
  throw new Error('there was no fault', { cause: error });
}

const logged = (event: string): Line[] => lines.filter((line) => line.event === event);

function pids(): number[] {
  return logged('child_started').map((line) => line['pid'] as number);
}

/** Running, or dead and not yet waited for. */
function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** As `isThere`, but false for a dead process that its new parent has not waited for. */
async function isRunning(pid: string): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat === undefined ? isThere(Number(pid)) : !/\) [ZX] /.test(stat);
}

describe('ProcessEngine', () => {
  it('E1: knows which part is missing without starting anything', async () => {
    const at = (binary: string, modelDir: string) =>
      ProcessEngine.availability({ binary, modelDir });
    const plain = join(folder, 'plain');
    await writeFile(plain, '');
    expect(at(FAKE_VOXTRAL, model.path)).toEqual({ available: true, missing: [] });
    expect(at('/nonexistent', model.path)).toMatchObject({
      available: false,
      missing: ['binary'],
      reason: 'the speech process cannot run: the binary /nonexistent is no file',
    });
    expect(at(folder, model.path).missing).toEqual(['binary']);
    expect(at(plain, model.path).reason).toContain('may not be executed');
    expect(at(FAKE_VOXTRAL, folder)).toMatchObject({ available: false, missing: ['model'] });
    expect(at('/nonexistent', folder).missing).toEqual(['binary', 'model']);
  });

  it('E2: says in one word what is missing, and takes all audio', async () => {
    const engine = engineWith({}, { modelDir: folder });
    await expect(engine.start()).rejects.toThrow(`${folder}/consolidated.safetensors is no file`);
    expect(engine.health()).toMatchObject({ state: 'error' });
    const heard = await listen(open(engine), speak(TWENTY));
    const text = '[Voxtral ASR unavailable: model missing]';
    const word = { text, startSample: 0, endSample: 0, confidence: 0 };
    expect(heard.events).toEqual([
      { kind: 'words', words: [word], tail: '' },
      { kind: 'end', promptTokens: 0, completionTokens: 0 },
    ]);
    expect(lines).toEqual([]);
  });

  it('E3: one process from the first audio of a stream to its end', async () => {
    const engine = engineWith();
    const stream = open(engine);
    expect(pids()).toEqual([]);
    const heard = new Heard(stream);
    await stream.write(speak([1]));
    await feed(stream, speak(range(2, 20)));
    stream.finish();
    await heard.over;
    expect(heard.text).toBe(transcript(TWENTY));
    expect(pids()).toHaveLength(1);
  });

  it('E4: is ready when a process that prints nothing got through a second of silence', async () => {
    const engine = engineWith({ mode: 'silent', loadMs: 50 });
    expect(engine.health().state).toBe('uninitialized');
    const started = engine.start();
    expect(engine.health().state).toBe('warming_up');
    await started;
    expect(engine.health()).toEqual({ state: 'ready' });
    expect(logged('child_stopped')).toMatchObject([{ how: 'exit code 0' }]);
  });

  it('E4: does not start with a process that fails or hangs, which is killed', async () => {
    const failing = engineWith({ mode: 'exit-nonzero-at-eof' });
    await expect(failing.start()).rejects.toThrow('on a second of silence: exit code 1');
    const engine = engineWith({ mode: 'hang' }, { startTimeoutMs: 200 });
    await expect(engine.start()).rejects.toThrow('was not done within 200 ms');
    expect(engine.health()).toMatchObject({ state: 'error' });
    expect(pids().filter(isThere)).toEqual([]);
  });

  it('E5: words come while audio does, though no line ends', async () => {
    const { stream, heard } = begin(engineWith());
    await feed(stream, speak(TWENTY));
    await until(() => heard.words.length >= 15, 'most words are there');
    stream.finish();
    await heard.over;
    expect(heard.text).toBe(transcript(TWENTY));
  });

  it('E5: reads characters cut anywhere', async () => {
    const { text } = await listen(open(engineWith({ prefix: 'жé' })), speak(TWENTY));
    expect(text).toBe(TWENTY.map((word) => `жé${word}`).join(' '));
  });

  it('E6: a killed process fails its stream at once, and the next stream goes on', async () => {
    const engine = engineWith();
    const { stream, heard } = begin(engine);
    await feed(stream, speak(TWENTY));
    await until(() => heard.words.length > 0, 'a word is there');
    const killedAtMs = clock.now();
    process.kill(pids()[0] as number, 'SIGKILL');
    const fault = (await heard.over) as StreamFault;
    expect(clock.now() - killedAtMs).toBeLessThan(1_000);
    expect(fault).toMatchObject({ fault: 'closed', retryable: true });
    expect(fault.message).toContain('SIGKILL');
    expect(transcript(TWENTY).startsWith(`${heard.text} `)).toBe(true);
    const next = await listen(open(engine, 's1', 1), speak(TWENTY));
    expect(next.text).toBe(transcript(TWENTY));
    expect(new Set(pids()).size).toBe(2);
  });

  it('E7: rejects audio for a process that has exited', async () => {
    const { stream, heard } = begin(engineWith({ mode: 'crash', afterBytes: 4_096, exitCode: 3 }));
    // Its death may come before the pipe has all of it.
    await stream.write(speak([1])).catch(() => {});
    const fault = await heard.over;
    expect(await faultOf(stream.write(speak([2])))).toBe(fault);
    expect((fault as Error).message).toContain('exit code 3: fatal: out of memory');
  });

  it('E7: a write that its process does not survive is rejected', async () => {
    const stream = open(engineWith({ mode: 'crash', afterBytes: 100_000 }));
    const fault = await faultOf(feed(stream, speak(range(1, 200))));
    expect(fault).toMatchObject({ fault: 'closed' });
    expect(await new Heard(stream).over).toBe(fault);
  });

  it('E8: every stream of a process that always dies fails, and starts no other', async () => {
    const engine = engineWith({ mode: 'crash', afterBytes: 4_096 });
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const fault = await faultOf(feed(open(engine, 's1', attempt), speak(range(1, 200))));
      expect(fault).toMatchObject({ fault: 'closed' });
    }
    expect(logged('child_started').map((line) => line['attempt'])).toEqual([0, 1, 2, 3, 4]);
    expect(engine.work()).toMatchObject({ consecutiveErrors: 5, childrenStarted: 5 });
    expect(engine.work().lastError).toContain('SIGKILL');
  });

  it('E9: words told before a crash are whole words in order, inside the audio', async () => {
    const options = { mode: 'crash', afterWords: 8, stateFile: join(folder, 'died') } as const;
    const engine = engineWith(options);
    const { stream, heard } = begin(engine);
    await feed(stream, speak(TWENTY)).catch(() => {});
    // All that was told can be trusted.
    expect(await heard.over).toMatchObject({ fault: 'closed', trustedSample: undefined });
    // The eighth was the last on its way, and may have been half a word.
    expect(heard.text).toBe(transcript(range(1, 7)));
    expectTimes(heard.words, 20 * SLOT_SAMPLES);
    expect(engine.work().consecutiveErrors).toBe(1);
    expect((await listen(open(engine), speak(TWENTY))).text).toBe(transcript(TWENTY));
    expect(engine.work()).toMatchObject({ consecutiveErrors: 0, children: 0 });
  });

  it('E10: silence does not end a stream', async () => {
    const heard = await listen(open(engineWith()), Buffer.concat([silence(60_000), speak([1, 2])]));
    expect(heard.text).toBe('w1 w2');
    const mute = await listen(open(engineWith({ mode: 'silent' })), speak(TWENTY));
    expect(mute.events).toMatchObject([{ kind: 'end', completionTokens: 0 }]);
  });

  it('E11: word times are in order, inside the audio, and roughly right while audio comes', async () => {
    const { stream, heard } = begin(engineWith());
    const spoken = range(1, 10);
    // As if in real time: the next word is said when all before it are told.
    for (const [nth, word] of spoken.entries()) {
      await feed(stream, Buffer.concat([speak([word]), silence(1_200)]));
      await until(() => tellsWord(heard, nth), `word ${word} is told`);
    }
    stream.finish();
    await heard.over;
    expect(heard.words).toHaveLength(10);
    const slot = SLOT_SAMPLES + 1.2 * 16_000;
    expectTimes(heard.words, 10 * slot);
    for (const [nth, word] of heard.words.entries())
      expect(Math.abs(word.endSample - (nth * slot + 5_120))).toBeLessThanOrEqual(16_000);
  });

  it('E12: ten chunks of 2 s at 200 ms each are near a tenth of real time', async () => {
    const engine = engineWith({ mode: 'slow', msPerSecond: 100 });
    const { stream, heard } = begin(engine);
    const sinceMs = performance.now();
    for (let chunk = 0; chunk < 10; chunk += 1) await stream.write(speak(range(1, 5)));
    stream.finish();
    await heard.over;
    const tookMs = performance.now() - sinceMs;
    const { chunksProcessed, avgInferMs, realtimeFactor } = engine.work();
    expect(chunksProcessed).toBe(10);
    expect(realtimeFactor).toBeGreaterThan(0.095);
    // Starting the process is part of it, and takes its time on a busy machine.
    expect(realtimeFactor).toBeLessThan(tookMs / 20_000 + 0.005);
    expect(avgInferMs).toBeCloseTo(realtimeFactor * 2_000);
  });

  it('E14: logs each process with its session, attempt and work, and no text', async () => {
    await listen(open(engineWith(), 'session-7', 2), speak(TWENTY));
    const ids = { pid: expect.any(Number), sid: 'session-7', utterance: 1, attempt: 2 };
    expect(lines).toMatchObject([
      { event: 'child_started', ...ids },
      { event: 'child_stopped', ...ids, how: 'exit code 0', chunks: 80, audioMs: 8_000 },
    ]);
    expect(lines[1]?.['rtf']).toBeGreaterThan(0);
    expect(JSON.stringify(lines)).not.toContain('w1');
  });

  it('E15: leaves no process behind after fifty sessions', async () => {
    const engine = engineWith();
    const session = async (nth: number): Promise<void> => {
      const stream = open(engine, `s${nth}`);
      const heard = new Heard(stream);
      await feed(stream, speak([1, 2]));
      if (nth % 3 === 0) stream.abort();
      else stream.finish();
      await heard.over;
      if (nth % 3 !== 0) expect(heard.text).toBe('w1 w2');
    };
    for (let nth = 0; nth < 50; nth += 5)
      await Promise.all(range(nth, nth + 4).map((each) => session(each)));
    await engine.stop();
    expect(pids()).toHaveLength(50);
    // Neither alive nor a zombie.
    expect(pids().filter(isThere)).toEqual([]);
    expect(logged('child_stopped')).toHaveLength(50);
  });

  it('E15: kills a process that ignores the end of its input and SIGTERM', async () => {
    const engine = engineWith({ mode: 'ignore-sigterm' }, { stopGraceMs: 300 });
    const { stream, heard } = begin(engine);
    await feed(stream, speak(TWENTY));
    await until(() => heard.words.length > 0, 'it runs');
    await engine.stop();
    expect(logged('child_stopped')).toMatchObject([{ how: 'SIGKILL' }]);
    expect(await heard.over).toMatchObject({ fault: 'closed', retryable: false });
    expect(await faultOf(open(engine).write(speak([1])))).toMatchObject({ retryable: false });
  });

  it('E15: abort kills what ignores SIGTERM, and takes along what the program started', async () => {
    const wrapper = join(folder, 'wrapper.sh');
    await writeFile(wrapper, `#!/bin/sh\n${FAKE_VOXTRAL} "$@"\nexit $?\n`, { mode: 0o755 });
    const options = { mode: 'ignore-sigterm', recordDir: folder } as const;
    for (const binary of [wrapper, FAKE_VOXTRAL]) {
      const { stream, heard } = begin(engineWith(options, { binary }));
      await feed(stream, speak(TWENTY));
      await until(() => heard.words.length > 0, 'it runs');
      stream.abort();
      await heard.over;
      expect(heard.ended).toBe(false);
    }
    const inner = (await readdir(folder)).flatMap((name) => name.match(/^(\d+)\.args$/)?.[1] ?? []);
    expect(inner).toHaveLength(2);
    const running = async (): Promise<boolean> =>
      pids().some(isThere) || (await Promise.all(inner.map(isRunning))).includes(true);
    await until(async () => !(await running()), 'all are gone');
  });

  it('E16: a program that cannot be executed is unreachable, and the next attempt can succeed', async () => {
    const binary = join(folder, 'voxtral');
    await writeFile(binary, '#!/nonexistent/interpreter\n');
    await chmod(binary, 0o755);
    const engine = engineWith({}, { binary });
    const fault = await faultOf(open(engine).write(speak([1])));
    expect(fault).toMatchObject({ fault: 'unreachable', retryable: true });
    expect(pids()).toEqual([]);
    await writeFile(binary, `#!/bin/sh\nexec ${FAKE_VOXTRAL} "$@"\n`);
    expect((await listen(open(engine), speak(TWENTY))).text).toBe(transcript(TWENTY));
  });

  it('V1, V2, V4: gets these arguments, the interval among them, and nothing but PCM', async () => {
    const settings = { intervalS: 0.25, modelDelayMs: 960 };
    const pcm = speak(TWENTY);
    await listen(open(engineWith({ recordDir: folder }, settings)), pcm);
    const read = (kind: string): Promise<Buffer> => readFile(join(folder, `${pids()[0]}.${kind}`));
    const args: unknown = JSON.parse(String(await read('args')));
    expect(args).toEqual(`-d ${model.path} --stdin -I 0.25 --silent`.split(' '));
    expect((await read('pcm')).equals(pcm)).toBe(true);
  });

  it('V3: the end of the audio brings the words that the model held back', async () => {
    const { stream, heard } = begin(engineWith());
    // Less than the program reads at once.
    await stream.write(speak([1]).subarray(0, 6_000));
    stream.finish();
    await heard.over;
    expect(heard.text).toBe('w1');
    expect(heard.events.at(-1)).toEqual({ kind: 'end', promptTokens: 3, completionTokens: 1 });
  });

  it('V3: a process that fails behind the end of the audio fails its stream', async () => {
    const { stream, heard } = begin(engineWith({ mode: 'exit-nonzero-at-eof' }));
    await feed(stream, speak(TWENTY));
    stream.finish();
    expect(await heard.over).toMatchObject({ fault: 'closed' });
    expect(heard.ended).toBe(false);
  });

  it('V5, E11: a stream of 200 s survives what the program forgets on its way', async () => {
    const stream = open(engineWith({ mode: 'internal-reset' }));
    const { words } = await listen(stream, speak(range(1, 500)));
    expect([1, 2, 3, 4]).toContain(500 - words.length);
    expect(words.at(-1)?.text).toBe(' w500');
    expectTimes(words, 500 * SLOT_SAMPLES);
    expect(words.at(-1)?.endSample).toBe(500 * SLOT_SAMPLES);
  });

  it.each(['newline', 'garbage'] as const)(
    'V6: understands a program of the kind %s',
    async (mode) => {
      expect((await listen(open(engineWith({ mode })), speak(TWENTY))).text).toBe(
        transcript(TWENTY),
      );
    },
  );

  it('V6: bears no program that prints without end', async () => {
    const { stream, heard } = begin(engineWith({ mode: 'flood' }));
    expect(await faultOf(stream.write(speak(TWENTY)))).toMatchObject({ fault: 'other' });
    await heard.over;
    expect(heard.text.length).toBeLessThan(100_000);
  });

  it('V6: a program that reads nothing holds writes back after a bounded amount', async () => {
    const stream = open(engineWith({ mode: 'hang' }));
    let taken = 0;
    let stopped = false;
    const feeding = (async () => {
      for (const piece of frames(speak(range(1, 100)), PIECE_MS)) {
        await stream.write(piece);
        taken += piece.length;
        if (stopped) return;
      }
    })();
    let before = -1;
    await until(() => {
      const same = taken === before && taken > 0;
      before = taken;
      return same;
    }, 'writes wait');
    stopped = true;
    expect(taken).toBeLessThan(32_000);
    stream.abort();
    await feeding;
  });
});

function tellsWord(heard: Heard, nth: number): boolean {
  const last = heard.events.at(-1);
  return (
    heard.words.length > nth ||
    (last?.kind === 'words' && last.tail !== '' && heard.words.length === nth)
  );
}

function expectTimes(words: readonly Word[], samples: number): void {
  let before = 0;
  for (const { startSample, endSample } of words) {
    expect(startSample).toBeGreaterThanOrEqual(before);
    expect(endSample).toBeGreaterThanOrEqual(startSample);
    before = endSample;
  }
  expect(before).toBeLessThanOrEqual(samples);
}
