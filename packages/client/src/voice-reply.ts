import type { VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { readWav, writeWav } from '@voice-fleet/speech/wav';
import { type VoiceErrorFrame, VoiceProtocolError } from './voice-errors.ts';

export type VoiceLatency = Extract<VoiceServerFrame, { event: 'latency' }>;

/** One spoken phrase. */
export interface VoicePhrase {
  readonly seq: number;
  /** PCM16 mono. */
  readonly pcm: Buffer;
  readonly sampleRate: number;
  readonly durationMs: number;
  /** When it came, in clock milliseconds. */
  readonly atMs: number;
}

/** Moments of one turn as this client saw them, in clock milliseconds; t0 to t4 as the server counts them. */
export interface VoiceMarks {
  startMs: number;
  /** t0: first audio sent. */
  firstAudioMs?: number;
  lastAudioMs?: number;
  /** The speaker's last word was sent; who knows says so. */
  speechEndMs?: number;
  stopMs?: number;
  /** t1 */
  firstPartialMs?: number;
  /** t2 */
  finalMs?: number;
  /** t3: first token, or first chunk of a reply made from audio. */
  firstTokenMs?: number;
  tokensDoneMs?: number;
  /** t4: first speech received. */
  firstSpeechMs?: number;
  endMs?: number;
}

/** `interrupted`: the speaker spoke into the reply. `failed`: see `error`. */
export type VoiceOutcome = 'complete' | 'cancelled' | 'interrupted' | 'failed';

/** All that came of one utterance. */
export interface VoiceReply {
  readonly outcome: VoiceOutcome;
  /** The error that ended it. */
  readonly error: VoiceErrorFrame | undefined;
  /** Errors that did not: a phrase that could not be spoken, an utterance cut at its longest. */
  readonly faults: readonly VoiceErrorFrame[];
  readonly transcript: string | undefined;
  readonly transcriptId: string | undefined;
  /** Why the utterance ended, in the server's words. */
  readonly finalizeReason: string | undefined;
  readonly partials: readonly string[];
  /** The reply's text so far as it came. */
  readonly reply: string;
  /** The reply's text came to its end. */
  readonly replyDone: boolean;
  /** In the order of `seq`. */
  readonly phrases: readonly VoicePhrase[];
  readonly marks: VoiceMarks;
  /** The server's own marks. */
  readonly latency: VoiceLatency | undefined;
}

/** Reads one `tts_chunk`; throws when it holds no PCM16 mono WAV. */
export function readPhrase(
  frame: Extract<VoiceServerFrame, { type: 'tts_chunk' }>,
  atMs: number,
): VoicePhrase {
  let wav: ReturnType<typeof readWav>;
  try {
    wav = readWav(Buffer.from(frame.audio_b64, 'base64'));
  } catch (cause) {
    throw new VoiceProtocolError(`The speech of phrase ${frame.seq} cannot be read: ${cause}`, {
      cause,
    });
  }
  const { pcm, sampleRate, channels } = wav;
  if (channels !== 1) {
    throw new VoiceProtocolError(`The speech of phrase ${frame.seq} has ${channels} channels.`);
  }
  const durationMs = (pcm.length / BYTES_PER_SAMPLE / sampleRate) * 1000;
  return { seq: frame.seq, pcm, sampleRate, durationMs, atMs };
}

/** All phrases as one WAV file; undefined when there are none. Throws when they differ in their sample rate. */
export function joinPhrases(phrases: readonly VoicePhrase[]): Buffer | undefined {
  const [first] = phrases;
  if (!first) return undefined;
  const other = phrases.find(({ sampleRate }) => sampleRate !== first.sampleRate);
  if (other) {
    throw new Error(
      `Phrase ${other.seq} has ${other.sampleRate} Hz and phrase ${first.seq} ${first.sampleRate} Hz: they make no one file.`,
    );
  }
  return writeWav(Buffer.concat(phrases.map(({ pcm }) => pcm)), first.sampleRate);
}

/** What the marks say, in milliseconds; a step that did not come is undefined. */
export interface VoiceTimes {
  /** t1 − t0 */
  readonly firstPartialMs: number | undefined;
  /** t2 − t0 */
  readonly finalTranscriptMs: number | undefined;
  /** t3 − t2 */
  readonly firstTokenMs: number | undefined;
  /** t4 − t2 */
  readonly firstAudioMs: number | undefined;
  /** From the end of speech on. */
  readonly finalAfterSpeechMs: number | undefined;
  readonly tokenAfterSpeechMs: number | undefined;
  readonly audioAfterSpeechMs: number | undefined;
}

export function voiceTimes(marks: VoiceMarks): VoiceTimes {
  const { firstAudioMs: t0, firstPartialMs: t1, finalMs: t2 } = marks;
  const { firstTokenMs: t3, firstSpeechMs: t4, speechEndMs: spoken } = marks;
  return {
    firstPartialMs: between(t0, t1),
    finalTranscriptMs: between(t0, t2),
    firstTokenMs: between(t2, t3),
    firstAudioMs: between(t2, t4),
    finalAfterSpeechMs: between(spoken, t2),
    tokenAfterSpeechMs: between(spoken, t3),
    audioAfterSpeechMs: between(spoken, t4),
  };
}

function between(fromMs: number | undefined, toMs: number | undefined): number | undefined {
  return fromMs === undefined || toMs === undefined ? undefined : toMs - fromMs;
}
