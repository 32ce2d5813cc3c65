import { beforeEach, describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { type EngineEvent, StreamFault } from '../engine.ts';
import type { ChildEnd, ChildListener, SpeechChild } from './child.ts';
import { ProcessMetrics } from './metrics.ts';
import { ProcessStream } from './stream.ts';

const SECOND = Buffer.alloc(32_000);
const WELL: ChildEnd = { kind: 'exited', code: 0, how: 'exit code 0' };
const KILLED: ChildEnd = { kind: 'exited', code: null, how: 'SIGKILL' };

class FakeChild implements SpeechChild {
  readonly pid = 4711;
  readonly listener: ChildListener;
  readonly calls: string[] = [];
  hasExited = false;
  writtenBytes = 0;
  taken: (() => void) | undefined;
  #stopped: (() => void) | undefined;

  constructor(listener: ChildListener) {
    this.listener = listener;
  }

  write(pcm: Buffer, onTaken: () => void): void {
    this.calls.push(`write ${pcm.length}`);
    this.taken = () => {
      this.writtenBytes += pcm.length;
      onTaken();
    };
  }
  end(): void {
    this.calls.push('end');
  }
  terminate(): void {
    this.calls.push('terminate');
  }
  kill(): void {
    this.calls.push('kill');
  }
  stop(graceMs: number): Promise<void> {
    this.calls.push(`stop ${graceMs}`);
    return new Promise((resolve) => {
      this.#stopped = resolve;
    });
  }

  exit(end: ChildEnd): void {
    this.hasExited = true;
    this.listener.onGone(end);
    this.#stopped?.();
  }
}

let clock: FakeClock;
let metrics: ProcessMetrics;
let children: FakeChild[];
let logged: { event: string; fields: Record<string, unknown> }[];
let gone: number;
let stream: ProcessStream;

beforeEach(() => {
  clock = new FakeClock();
  metrics = new ProcessMetrics();
  children = [];
  logged = [];
  gone = 0;
  stream = new ProcessStream({
    clock,
    origin: { sessionId: 'session-1', utterance: 3, attempt: 2 },
    metrics,
    log: (event, fields) => logged.push({ event, fields }),
    startChild: (listener) => {
      const child = new FakeChild(listener);
      children.push(child);
      return child;
    },
    delaySamples: 7_680,
    quietMs: 1_000,
    onGone: () => {
      gone += 1;
    },
  });
});

function child(): FakeChild {
  const [only] = children;
  if (!only || children.length > 1) throw new Error(`${children.length} processes`);
  return only;
}

async function write(pcm = SECOND): Promise<void> {
  const written = stream.write(pcm);
  child().taken?.();
  await written;
}

async function events(): Promise<EngineEvent[]> {
  const all: EngineEvent[] = [];
  for await (const event of stream.events) all.push(event);
  return all;
}

async function faultOf(work: Promise<unknown>): Promise<StreamFault> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof StreamFault) return error;
  throw new Error('there was no fault', { cause: error });
}

describe('ProcessStream', () => {
  it('E3: starts its process with the first audio and gives it all the rest', async () => {
    expect(children).toHaveLength(0);
    await stream.write(Buffer.alloc(0));
    expect(children).toHaveLength(0);
    await write();
    await write(Buffer.alloc(6));
    expect(child().calls).toEqual(['write 32000', 'write 6']);
  });

  it('E5: tells words as they come, without lines', async () => {
    await write();
    child().listener.onText('hel');
    child().listener.onText('lo there you');
    stream.finish();
    child().listener.onText('\n');
    child().exit(WELL);
    expect(await events()).toEqual([
      { kind: 'words', words: [], tail: 'hel' },
      {
        kind: 'words',
        words: [
          expect.objectContaining({ text: 'hello' }),
          expect.objectContaining({ text: ' there' }),
        ],
        tail: ' you',
      },
      { kind: 'words', words: [expect.objectContaining({ text: ' you' })], tail: '' },
      { kind: 'end', promptTokens: 13, completionTokens: 3 },
    ]);
  });

  it('E5: settles a word after a quiet time', async () => {
    await write();
    child().listener.onText('hello');
    clock.advance(999);
    child().listener.onText('s');
    clock.advance(999);
    expect(clock.pending).toBe(1);
    clock.advance(1);
    expect(clock.pending).toBe(0);
    stream.abort();
    const tails = (await events()).map((event) => (event.kind === 'words' ? event.tail : 'end'));
    expect(tails).toEqual(['hello', 'hellos', '']);
  });

  it('E10: a process silent for a minute keeps its stream', async () => {
    await write();
    clock.advance(60_000);
    await write();
    child().listener.onText('late ');
    stream.finish();
    child().exit(WELL);
    expect((await events()).at(-1)).toMatchObject({ kind: 'end', completionTokens: 1 });
  });

  it('E11: ends words where the audio was less the delay, and the last ones inside the audio', async () => {
    await write();
    child().listener.onText('one ');
    await write();
    child().listener.onText('two ');
    stream.finish();
    child().listener.onText('three\n');
    child().exit(WELL);
    const words = (await events()).flatMap((event) => (event.kind === 'words' ? event.words : []));
    expect(words.map((word) => word.endSample)).toEqual([8_320, 24_320, 32_000]);
    for (const word of words) expect(word.startSample).toBe(word.endSample - 1_280);
  });

  it('E7: gives a dead process no audio, and fails when its last words are here', async () => {
    await write();
    child().listener.onText('one two');
    child().hasExited = true;
    const write2 = stream.write(SECOND);
    child().listener.onText(' three');
    child().exit(KILLED);
    const fault = await faultOf(write2);
    expect(fault).toMatchObject({ fault: 'closed', retryable: true });
    expect(fault.message).toContain('before its audio did: SIGKILL');
    expect(child().calls).toEqual(['write 32000', 'terminate']);
    const told: string[] = [];
    const reading = (async () => {
      for await (const event of stream.events)
        if (event.kind === 'words') told.push(...event.words.map((word) => word.text));
    })();
    expect(await faultOf(reading)).toBe(fault);
    // The third may be half a word.
    expect(told).toEqual(['one', ' two']);
    expect(await faultOf(stream.write(SECOND))).toBe(fault);
  });

  it('fails when its process ends well before its audio did', async () => {
    await write();
    child().exit(WELL);
    expect(await faultOf(events())).toMatchObject({ fault: 'closed' });
  });

  it('E16: is unreachable when its process does not start', async () => {
    const written = stream.write(SECOND);
    child().exit({ kind: 'unstarted', how: 'spawn voxtral ENOENT' });
    const fault = await faultOf(written);
    expect(fault).toMatchObject({ fault: 'unreachable', retryable: true });
    expect(fault.message).toContain('spawn voxtral ENOENT');
    expect(metrics.stats()).toMatchObject({ lastError: fault.message, consecutiveErrors: 1 });
  });

  it('V3: closes the input behind the write under way', async () => {
    const written = stream.write(SECOND);
    stream.finish();
    expect(child().calls).toEqual(['write 32000']);
    child().taken?.();
    await written;
    expect(child().calls).toEqual(['write 32000', 'end']);
  });

  it('ends at once, without a process, when there was no audio', async () => {
    stream.finish();
    expect(await events()).toEqual([{ kind: 'end', promptTokens: 0, completionTokens: 0 }]);
    expect(children).toHaveLength(0);
    expect(gone).toBe(1);
  });

  it('hears nothing in a single sample, of which the program would fail', async () => {
    await write(Buffer.alloc(2));
    stream.finish();
    expect(await events()).toEqual([{ kind: 'end', promptTokens: 1, completionTokens: 0 }]);
    expect(child().calls).toEqual(['write 2', 'terminate']);
  });

  it('stops at once when aborted, and again', async () => {
    const written = stream.write(SECOND);
    child().listener.onText('one two');
    stream.abort();
    await written;
    expect(child().calls).toEqual(['write 32000', 'terminate']);
    stream.abort();
    child().listener.onText(' three four');
    child().taken?.();
    await stream.write(SECOND);
    expect(gone).toBe(0);
    child().exit(KILLED);
    expect(gone).toBe(1);
    expect(clock.pending).toBe(0);
    expect((await events()).map((event) => event.kind)).toEqual(['words']);
    expect(metrics.stats()).toMatchObject({ chunksProcessed: 0, consecutiveErrors: 0 });
  });

  it('E15: lets its process end by itself when the engine stops', async () => {
    await write();
    const stopped = stream.stop(5_000);
    expect(await faultOf(events())).toMatchObject({ retryable: false });
    expect(child().calls).toEqual(['write 32000', 'stop 5000']);
    child().exit(WELL);
    await stopped;
    expect(metrics.stats().consecutiveErrors).toBe(0);
  });

  it('bears no process that prints without end', async () => {
    await write();
    const line = 'lorem ipsum '.repeat(1_000);
    for (let lines = 0; lines < 3; lines += 1) child().listener.onText(line);
    expect(await faultOf(events())).toMatchObject({ fault: 'other' });
    expect(child().calls.at(-1)).toBe('terminate');
  });

  it('keeps a bounded number of events that nobody reads', async () => {
    for (let second = 0; second < 400; second += 1) {
      await write();
      for (let word = 0; word < 12; word += 1) child().listener.onText('a ');
      if (child().calls.at(-1) === 'terminate') break;
    }
    expect(await faultOf(events())).toMatchObject({ fault: 'other' });
  });

  it('refuses two writes at once, and audio behind the end', async () => {
    const written = stream.write(SECOND);
    await expect(stream.write(SECOND)).rejects.toThrow('before the last write settled');
    child().taken?.();
    await written;
    stream.finish();
    await expect(stream.write(SECOND)).rejects.toThrow('after finish');
  });

  it('E12: counts the time it waits for its process against the audio', async () => {
    for (let chunk = 0; chunk < 10; chunk += 1) {
      const written = stream.write(Buffer.alloc(64_000));
      clock.advance(150);
      child().taken?.();
      await written;
    }
    stream.finish();
    clock.advance(500);
    child().exit(WELL);
    expect(metrics.stats()).toMatchObject({
      chunksProcessed: 10,
      avgInferMs: 200,
      realtimeFactor: 0.1,
    });
  });

  it('E14: logs the start and the end of its process, and no text', async () => {
    await write();
    child().listener.onText('secret words');
    stream.finish();
    clock.advance(100);
    child().exit(WELL);
    const ids = { engine: 'process', pid: 4711, sid: 'session-1', utterance: 3, attempt: 2 };
    expect(logged).toEqual([
      { event: 'child_started', fields: ids },
      {
        event: 'child_stopped',
        fields: {
          ...ids,
          how: 'exit code 0',
          livedMs: 100,
          chunks: 1,
          audioMs: 1_000,
          inferMs: 100,
          rtf: 0.1,
        },
      },
    ]);
  });
});
