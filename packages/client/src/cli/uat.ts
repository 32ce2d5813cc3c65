import { basename } from 'node:path';
import { VOICE_PATHS, type VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import { durationS, loadPcm } from '../audio-source.ts';
import { findSamples } from '../samples.ts';
import { printableUrl } from '../server-url.ts';
import { speak } from '../speak.ts';
import { judge, type Threshold, type UatFacts, type UatUtterance } from '../uat.ts';
import { VoiceClient, type VoiceConnectOptions } from '../voice-client.ts';
import { voiceTimes } from '../voice-reply.ts';
import type { VoiceTurn } from '../voice-turn.ts';
import {
  type CliIo,
  type Command,
  connectionHelp,
  connectOptions,
  parseFlags,
  positive,
  UsageError,
} from './flags.ts';
import { EXIT, guarded } from './guard.ts';
import { ms, printJson, s } from './report.ts';

const [PATH] = VOICE_PATHS;
const UTTERANCES = 5;
const MIN_S = 3;
const MAX_S = 8;
const REPLY_TIMEOUT_MS = 60_000;
/** After this utterance errors are provoked that leave a session open. */
const PROVOKE_AFTER = 2;
const PROVOKED_TIMEOUT_MS = 5_000;
const HEALTH_TIMEOUT_MS = 5_000;

export const uat: Command = {
  summary: 'release gate of the voice pipeline: five utterances, pass or fail for each threshold',
  help: `npm run uat -- [flags]

Speaks five utterances of ${MIN_S} to ${MAX_S} s to ${PATH}, one after the other on one connection, as a microphone
would: silence ends each. Prints what was measured and pass or fail for each threshold of the
release. Exit code 0 when all pass. Between two of them it provokes errors that must end no session.

  --file PATH          a recording; may be given several times, and is taken in turn
                       (default: LibriVox samples, and a spoken question)
  --speed FACTOR       1 is real time (default); the thresholds are for real time
  --key KEY            the same as --voxtral-key

${connectionHelp(PATH)}`,
  run: runUat,
};

interface Take {
  readonly file: string;
  readonly pcm: Buffer;
}

async function runUat(args: readonly string[], io: CliIo): Promise<number> {
  const flags = parseFlags(args, {
    file: { type: 'string', multiple: true },
    speed: { type: 'string', default: '1' },
    key: { type: 'string' },
  });
  const key = flags.key ?? flags['voxtral-key'];
  const { url, apiKey, keyIn } = connectOptions({ ...flags, 'voxtral-key': key }, io, {
    path: PATH,
  });
  const speed = positive(flags.speed, 'speed');
  const server = printableUrl(url);
  const guard = { server, json: flags.json, debug: flags.debug, path: PATH };
  return await guarded(guard, io, async () => {
    const takes = await recordings(flags.file, io);
    io.stderr(`${takes.length} utterances to ${server}\n`);
    const gate = new Gate({ url, apiKey, keyIn, clock: io.clock, signal: io.signal }, speed, io);
    const { utterances, facts } = await gate.run(takes);
    const thresholds = judge(utterances, facts);
    const ok = thresholds.every(({ pass }) => pass);
    if (flags.json) {
      printJson(io.stdout, { ok, server, utterances: utterances.map(json), thresholds });
    } else {
      io.stdout(text(utterances, thresholds, ok));
    }
    return ok ? EXIT.ok : EXIT.failed;
  });
}

async function recordings(files: string[] | undefined, io: CliIo): Promise<Take[]> {
  const paths = files ?? (await findSamples()).map(({ path }) => path);
  const takes = await Promise.all(
    paths.map(async (file) => ({ file, pcm: await loadPcm(file, { signal: io.signal }) })),
  );
  const fitting = takes.filter(({ pcm }) => durationS(pcm) >= MIN_S && durationS(pcm) <= MAX_S);
  const [first] = fitting;
  if (!first || (files && fitting.length < files.length)) {
    throw new UsageError(`--file takes recordings of ${MIN_S} to ${MAX_S} s.`);
  }
  return Array.from({ length: UTTERANCES }, (_, i) => fitting[i % fitting.length] ?? first);
}

/** One run of the gate. A connection that was lost is dialled again, so that the rest is measured too. */
class Gate {
  readonly #options: VoiceConnectOptions;
  readonly #speed: number;
  readonly #io: CliIo;
  readonly #utterances: UatUtterance[] = [];
  #client: VoiceClient | undefined;
  #recoverable = 0;
  #killed = 0;
  #lost = 0;

  constructor(options: VoiceConnectOptions, speed: number, io: CliIo) {
    this.#options = options;
    this.#speed = speed;
    this.#io = io;
  }

  async run(takes: readonly Take[]): Promise<{ utterances: UatUtterance[]; facts: UatFacts }> {
    try {
      for (const [i, take] of takes.entries()) {
        this.#utterances.push(await this.#utterance(take, i + 1));
        if (i + 1 === PROVOKE_AFTER) await this.#provoke();
      }
      const alive = this.#lost === 0 && (await this.#answers());
      const recoverableErrors = this.#recoverable;
      const facts = { alive, recoverableErrors, killedByThem: this.#killed };
      return { utterances: this.#utterances, facts };
    } finally {
      await this.#client?.close();
    }
  }

  async #utterance({ file, pcm }: Take, number: number): Promise<UatUtterance> {
    const audioS = durationS(pcm);
    let turn: VoiceTurn | undefined;
    try {
      const client = await this.#connected();
      turn = client.start();
      const { clock, signal } = this.#io;
      await speak(turn, pcm, { clock, signal, speed: this.#speed, end: 'silence' });
      const reply = await turn.result(this.#io.sessionTimeoutMs ?? REPLY_TIMEOUT_MS);
      this.#io.stderr(`${number}  ${JSON.stringify(reply.transcript ?? '')}\n`);
      const failure = reply.error && `${reply.error.code}: ${reply.error.message}`;
      return { file, audioS, reply, failure, frames: await framesOf(turn) };
    } catch (error) {
      // Ctrl+C, or nobody there at all: no run.
      if (this.#io.signal.aborted || !this.#client) throw error;
      const frames = await framesOf(turn);
      const last = frames.findLast(({ type }) => type === 'error');
      await this.#drop(last?.type === 'error' && last.recoverable);
      const failure = error instanceof Error ? error.message : String(error);
      this.#io.stderr(`${number}  ${failure}\n`);
      return { file, audioS, reply: undefined, failure, frames };
    }
  }

  /** A wrong sample rate, a cancel, a frame that is no JSON: each is told, and none may end the session. */
  async #provoke(): Promise<void> {
    try {
      const client = await this.#connected();
      client.sendRaw('{');
      await client.start({ sampleRate: 8_000 }).result(PROVOKED_TIMEOUT_MS);
      const turn = client.start();
      turn.cancel();
      await turn.result(PROVOKED_TIMEOUT_MS);
    } catch (error) {
      if (this.#io.signal.aborted) throw error;
      await this.#drop(true);
    }
  }

  async #connected(): Promise<VoiceClient> {
    this.#client ??= await VoiceClient.connect({
      ...this.#options,
      connectTimeoutMs: this.#io.connectTimeoutMs,
      onFrame: (frame) => {
        if (frame.type === 'error' && frame.recoverable) this.#recoverable += 1;
      },
    });
    return this.#client;
  }

  async #drop(killed: boolean): Promise<void> {
    this.#lost += 1;
    if (killed) this.#killed += 1;
    await this.#client?.close();
    this.#client = undefined;
  }

  /** Asked over HTTP, where a process that just died cannot answer. */
  async #answers(): Promise<boolean> {
    const health = new URL('/health', this.#options.url);
    health.protocol = health.protocol === 'wss:' ? 'https:' : 'http:';
    health.search = '';
    try {
      const response = await fetch(health, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) });
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }
}

/** All that came of a turn that is over, or as much as did before it failed. */
async function framesOf(turn: VoiceTurn | undefined): Promise<VoiceServerFrame[]> {
  const frames: VoiceServerFrame[] = [];
  try {
    for await (const frame of turn ?? []) frames.push(frame);
  } catch {
    // Why is told by whoever waited for its result.
  }
  return frames;
}

function text(utterances: readonly UatUtterance[], thresholds: Threshold[], ok: boolean): string {
  const head = row(['', 'audio', 'partials', 'partial', 'final', 'token', 'speech']);
  const lines = utterances.map(({ file, audioS, reply, failure }) => {
    const times = reply && voiceTimes(reply.marks);
    const cells = [
      s(audioS),
      String(reply?.partials.length ?? '–'),
      ms(times?.firstPartialMs),
      ms(times?.finalAfterSpeechMs),
      ms(times?.tokenAfterSpeechMs),
      ms(times?.audioAfterSpeechMs),
    ];
    return row([basename(file), ...cells]) + (failure ? `  ${failure}\n` : '');
  });
  const note = 'partial: after the first audio; final, token, speech: after the end of speech\n';
  const verdicts = thresholds.map(
    ({ name, wanted, measured, pass }) =>
      `${pass ? 'pass' : 'FAIL'}  ${name.padEnd(36)}${wanted.padEnd(10)}${measured}\n`,
  );
  return `\n${head}${lines.join('')}${note}\n${verdicts.join('')}\n${ok ? 'passed' : 'FAILED'}\n`;
}

function row([label = '', ...cells]: string[]): string {
  const short = label.length > 24 ? `…${label.slice(-23)}` : label;
  return `${short.padEnd(25)}${cells.map((cell) => cell.padStart(10)).join('')}\n`;
}

function json({ file, audioS, reply, failure, frames }: UatUtterance): object {
  return {
    file,
    audioS,
    transcript: reply?.transcript ?? null,
    id: reply?.transcriptId ?? null,
    partials: reply?.partials.length ?? 0,
    phrases: reply?.phrases.length ?? 0,
    times: reply ? voiceTimes(reply.marks) : null,
    latency: reply?.latency ?? null,
    frames: frames.length,
    failure: failure ?? null,
  };
}
