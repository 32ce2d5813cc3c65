import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { systemClock } from '@voice-fleet/runtime/clock';
import { ConfigError, parseEnv } from '@voice-fleet/runtime/env';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { readWav } from '@voice-fleet/speech/wav';
import { joinText, type Word } from '@voice-fleet/speech/words';
import { DEFAULT_CAPACITY } from '../capacity/capacity-loop.ts';
import { WorkerEnv } from '../config.ts';
import type { AsrEngine } from '../engines/engine.ts';
import { ENGINES, engineFrom, engineRegistry } from '../engines/engines.ts';
import { WorkerMetrics } from '../metrics.ts';
import { planForEngine } from '../transcription/segment-plan.ts';
import { type RunnerSettings, UtteranceRunner } from '../transcription/utterance-runner.ts';

const HELP = `Transcribes a recording with one of the worker's engines, without any server of ours.

Usage: npm run transcribe -- FILE [--engine NAME] [--json | --segments]

FILE        16 kHz mono PCM16, as WAV or as raw samples (little endian)
--engine    ${ENGINES.join(', ')}, or several in order of preference (default: ASR_ENGINE, or pocketsphinx)
--json      prints {"text", "words": [{"text", "startSample", "endSample", "confidence"}]}
--segments  prints a line of JSON for each piece of text as it is recognised: {"text", "t0", "t1", "confidence",
            "is_final", "source", "language", "speaker", "metadata"}, times in seconds

Engines read the same variables as the worker: docs/configuration.md.

Exit codes: 0 done, 1 the engine failed, 2 wrong usage or a file that cannot be read`;

const EXIT = { failed: 1, usage: 2 };

interface Options {
  readonly file: string;
  readonly engine: string | undefined;
  readonly print: 'text' | 'json' | 'segments';
}

/** What the person who typed the command can put right. */
class UsageError extends Error {}

async function main(): Promise<void> {
  const options = readArguments();
  if (options === undefined) return void process.stdout.write(`${HELP}\n`);
  const pcm = readAudio(options.file);
  const { engine, settings } = readEngine(options.engine);
  try {
    // One that cannot start says so in what it recognises.
    await engine.start().catch((error: unknown) => {
      if (engine.name !== 'process') throw error;
      tell(messageOf(error));
      process.exitCode = EXIT.failed;
    });
    const onWords = (words: readonly Word[]): void => {
      if (options.print === 'segments' && words.length > 0) printLine(segmentOf(words, engine));
    };
    const words = await transcribe(engine, settings, pcm, onWords);
    const text = joinText(words);
    if (options.print !== 'segments') printLine(options.print === 'json' ? { text, words } : text);
  } finally {
    await engine.stop();
  }
}

function readArguments(): Options | undefined {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        engine: { type: 'string' },
        json: { type: 'boolean' },
        segments: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help) return undefined;
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0) throw new Error('name one file');
    const print = values.segments ? 'segments' : values.json ? 'json' : 'text';
    return { file, engine: values.engine, print };
  } catch (error) {
    throw new UsageError(`${messageOf(error)}; see --help`);
  }
}

function readEngine(name: string | undefined): { engine: AsrEngine; settings: RunnerSettings } {
  const env = name === undefined ? process.env : { ...process.env, ASR_ENGINE: name };
  try {
    const config = parseEnv(WorkerEnv, env);
    const deps = {
      clock: systemClock,
      log: (event: string, { engine, why }: Record<string, unknown>) => {
        // It is waited for, perhaps in vain.
        if (event === 'engine_not_ready') tell(`waiting for ${engine}: ${why}`);
      },
      vllmStats: new WorkerMetrics().vllm,
      startSlots: DEFAULT_CAPACITY.start,
    };
    const registry = engineRegistry({ ...config, slots: 1 }, deps);
    const engine = engineFrom(registry, config.engines, deps);
    const plan = planForEngine(config.transcription.plan, engine.capabilities);
    return { engine, settings: { ...config.transcription, plan, maxBacklogSamples: 0 } };
  } catch (error) {
    throw error instanceof ConfigError ? new UsageError(error.message) : error;
  }
}

function readAudio(file: string): Buffer {
  try {
    const bytes = readFileSync(file);
    if (!/^(RIFF|RIFX|RF64)/.test(bytes.toString('latin1', 0, 4))) return wholeSamples(bytes);
    const { sampleRate, channels, pcm } = readWav(bytes);
    if (sampleRate === SAMPLE_RATE && channels === 1) return pcm;
    throw new Error(
      `${channels} channel(s) at ${sampleRate} Hz, not mono at ${SAMPLE_RATE} Hz: convert it with ` +
        'ffmpeg -i <input> -ac 1 -ar 16000 -c:a pcm_s16le <output>.wav',
    );
  } catch (error) {
    throw new UsageError(`${file}: ${messageOf(error)}`);
  }
}

function wholeSamples(bytes: Buffer): Buffer {
  if (bytes.length % 2 === 0) return bytes;
  throw new Error(`${bytes.length} bytes are no WAV and no raw samples of 2 bytes each`);
}

function transcribe(
  engine: AsrEngine,
  settings: RunnerSettings,
  pcm: Buffer,
  onWords: (words: readonly Word[]) => void,
): Promise<readonly Word[]> {
  const all: Word[] = [];
  const take = (words: readonly Word[]): void => {
    all.push(...words);
    onWords(words);
  };
  return new Promise((resolve, reject) => {
    const runner = new UtteranceRunner(0, {
      engine,
      settings,
      voice: {},
      sessionId: 'transcribe',
      utterance: 1,
      clock: systemClock,
      listener: {
        onWords: take,
        onFinal: (words) => {
          take(words);
          resolve(all);
        },
        onFailed: reject,
        onDropped: () => undefined,
        onTaken: () => undefined,
        onSegmentRolled: () => undefined,
        onFault: ({ message, attempt }) => tell(`${message} (${attempt})`),
        onRecovered: () => undefined,
      },
    });
    runner.push(pcm);
    runner.finish();
  });
}

function segmentOf(words: readonly Word[], engine: AsrEngine): Record<string, unknown> {
  const { languages } = engine.capabilities;
  const confidences = words.flatMap(({ confidence }) => confidence ?? []);
  return {
    text: joinText(words).trim(),
    t0: seconds(words[0]?.startSample),
    t1: seconds(words.at(-1)?.endSample),
    confidence: confidences.length > 0 ? Math.min(...confidences) : null,
    is_final: true,
    source: 'file',
    language: languages.length === 1 ? languages[0] : null,
    speaker: null,
    metadata: { engine: engine.name, model: engine.model },
  };
}

function seconds(sample = 0): number {
  return Number((sample / SAMPLE_RATE).toFixed(3));
}

function printLine(value: unknown): void {
  process.stdout.write(`${typeof value === 'string' ? value : JSON.stringify(value)}\n`);
}

function tell(message: string): void {
  process.stderr.write(`transcribe: ${message}\n`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// Whoever reads the output, such as `head`, may have seen enough.
process.stdout.on('error', () => process.exit());
try {
  await main();
} catch (error) {
  tell(messageOf(error));
  process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.failed;
}
