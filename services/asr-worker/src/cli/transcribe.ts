import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { systemClock } from '@voice-fleet/runtime/clock';
import { rmsDbfs } from '@voice-fleet/speech/level';
import { readWav } from '@voice-fleet/speech/wav';
import type { Word } from '@voice-fleet/speech/words';
import type { AsrEngine, EngineStream, VoiceState } from '../engines/engine.ts';
import { PocketsphinxEngine } from '../engines/pocketsphinx/engine.ts';

const HELP = `Transcribes a recording with the embedded speech engine, without any server.

Usage: npm run transcribe -- FILE [--json]

FILE    16 kHz mono PCM16, as WAV or as raw samples (little endian)
--json  prints {"text", "words": [{"text", "startSample", "endSample", "confidence"}]}

Exit codes: 0 done, 1 the engine failed, 2 wrong usage or a file that cannot be read`;

const EXIT = { failed: 1, usage: 2 };
const SAMPLE_RATE = 16_000;
const BYTES_PER_SECOND = 2 * SAMPLE_RATE;
/** Longer recordings are cut where the last seconds of each piece are quietest. */
const PIECE_BYTES = 60 * BYTES_PER_SECOND;
const SEARCH_BYTES = 10 * BYTES_PER_SECOND;
const PAUSE_BYTES = BYTES_PER_SECOND / 10;

/** What the person who typed the command can put right. */
class UsageError extends Error {}

async function main(): Promise<void> {
  const { file, json } = readArguments();
  if (file === undefined) return void process.stdout.write(`${HELP}\n`);
  const pcm = readAudio(file);
  const engine = new PocketsphinxEngine({ clock: systemClock, slots: 1 });
  try {
    await engine.start();
    const words = await transcribe(engine, pcm);
    const text = words.map((word) => word.text).join('');
    process.stdout.write(`${json ? JSON.stringify({ text, words }) : text}\n`);
  } finally {
    await engine.stop();
  }
}

function readArguments(): { file: string | undefined; json: boolean } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) return { file: undefined, json: false };
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0) throw new Error('name one file');
    return { file, json: values.json ?? false };
  } catch (error) {
    throw new UsageError(`${messageOf(error)}; see --help`);
  }
}

function readAudio(file: string): Buffer {
  try {
    const bytes = readFileSync(file);
    if (!/^(RIFF|RIFX|RF64)/.test(bytes.toString('latin1', 0, 4))) return bytes;
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

async function transcribe(engine: AsrEngine, pcm: Buffer): Promise<Word[]> {
  const voice: VoiceState = {};
  const words: Word[] = [];
  for (let from = 0; from < pcm.length; ) {
    const to = endOfPiece(pcm, from);
    const piece = await transcribePiece(
      engine.open(voice, { sessionId: 'cli', utterance: 1, attempt: 0 }),
      pcm.subarray(from, to),
    );
    const startOfPiece = from / 2;
    for (const [at, { text, startSample, endSample, ...rest }] of piece.entries()) {
      words.push({
        // An engine's stream starts without a space, but here it goes on from the piece before.
        text: at === 0 && words.length > 0 ? ` ${text}` : text,
        startSample: startOfPiece + startSample,
        endSample: startOfPiece + endSample,
        ...rest,
      });
    }
    from = to;
  }
  return words;
}

async function transcribePiece(stream: EngineStream, pcm: Buffer): Promise<Word[]> {
  const words: Word[] = [];
  const read = async (): Promise<void> => {
    for await (const event of stream.events) if (event.kind === 'words') words.push(...event.words);
  };
  await Promise.all([read(), stream.write(pcm).then(() => stream.finish())]);
  return words;
}

function endOfPiece(pcm: Buffer, from: number): number {
  const limit = from + PIECE_BYTES;
  if (limit >= pcm.length) return pcm.length;
  let quietest = { at: limit, level: Number.POSITIVE_INFINITY };
  for (let at = limit - SEARCH_BYTES; at < limit; at += PAUSE_BYTES) {
    const level = rmsDbfs(pcm.subarray(at, at + PAUSE_BYTES));
    if (level < quietest.level) quietest = { at: at + PAUSE_BYTES / 2, level };
  }
  return quietest.at;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`transcribe: ${messageOf(error)}\n`);
  process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.failed;
}
