import { encodeSpeech, SPEECH_RATE } from '@voice-fleet/media/encode/encode-speech';
import { VoiceError } from '@voice-fleet/protocol/errors';
import type { SpeechRequest } from '@voice-fleet/protocol/openai-rest';
import { isVendorSpeechModel } from '@voice-fleet/protocol/vendor-models';
import type { Clock } from '@voice-fleet/runtime/clock';
import type { ModelAliases } from '@voice-fleet/runtime/model-env';
import { Resampler } from '@voice-fleet/speech/resample';
import { TimeStretch } from '@voice-fleet/speech/time-stretch';
import { readWav } from '@voice-fleet/speech/wav';
import type { SpeakerManner } from '../tts/speaker.ts';
import type { TurnSpeaker } from '../turns/turn-speaker.ts';

export interface SpeechServiceDeps {
  /** Undefined: nobody speaks here. */
  readonly speech:
    | {
        /** What it answers to, beside the names that other services gave theirs. */
        readonly models: readonly string[];
        readonly speaker: (manner: SpeakerManner, signal: AbortSignal) => TurnSpeaker;
      }
    | undefined;
  readonly aliases: ModelAliases;
  /** Program for AAC. */
  readonly ffmpeg: string;
  readonly clock: Clock;
  readonly stats: SpeechStats;
}

/** What is counted of speech. */
export interface SpeechStats {
  onFirstAudio(seconds: number): void;
  onCharacters(count: number): void;
}

/** Bytes ready to be sent, and how much audio was made so far. */
export interface SpokenPiece {
  readonly bytes: Buffer;
  readonly audioMs: number;
}

/** Speaks a text that is there as a whole. */
export class SpeechService {
  readonly #deps: SpeechServiceDeps;

  constructor(deps: SpeechServiceDeps) {
    this.#deps = deps;
  }

  /** What it answers to, beside the names that other services gave theirs. */
  get models(): readonly string[] {
    return this.#deps.speech?.models ?? [];
  }

  /**
   * The speech of a request, encoded, as it is made; none of it is left out. Throws VoiceError: model_not_found, invalid_message for
   * a text without anything to say, unsupported_format, tts_failed, tts_timeout.
   */
  async *speak(request: SpeechRequest, signal: AbortSignal): AsyncGenerator<SpokenPiece> {
    const { clock, stats } = this.#deps;
    const beganMs = clock.now();
    const made = { samples: 0 };
    let isFirst = true;
    const pcm = this.#counted(this.#pcm(request, signal), made);
    const options = { format: request.response_format, ffmpeg: this.#deps.ffmpeg };
    for await (const bytes of encodeSpeech(pcm, options, signal)) {
      if (isFirst) stats.onFirstAudio((clock.now() - beganMs) / 1000);
      isFirst = false;
      yield { bytes, audioMs: (made.samples * 1000) / SPEECH_RATE };
    }
    stats.onCharacters(request.input.length);
  }

  async *#counted(
    pcm: AsyncIterable<Int16Array>,
    made: { samples: number },
  ): AsyncGenerator<Int16Array> {
    for await (const samples of pcm) {
      made.samples += samples.length;
      yield samples;
    }
  }

  /** Mono, at the rate that is sent, at the speed that was asked for. */
  async *#pcm(request: SpeechRequest, signal: AbortSignal): AsyncGenerator<Int16Array> {
    const stretch = new TimeStretch(request.speed, SPEECH_RATE);
    for await (const samples of atOneRate(this.#phrases(request, signal)))
      yield stretch.push(samples);
    yield stretch.flush();
  }

  async *#phrases(request: SpeechRequest, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { voice, instructions } = request;
    const speaker = this.#engine(request.model).speaker(
      {
        unit: 'phrases',
        live: false,
        voice: (typeof voice === 'object' ? voice?.id : voice) ?? undefined,
        instructions: instructions ?? undefined,
      },
      signal,
    );
    speaker.push(request.input);
    speaker.finish();
    if (!speaker.hasPhrase)
      throw new VoiceError('invalid_message', {
        message: 'input: there is nothing in it that can be spoken.',
        details: { parameter: 'input' },
      });
    for await (const event of speaker.events) {
      // A listener could not tell that words are missing.
      if (event.type === 'error') throw new VoiceError(event.code, { message: event.message });
      if (event.type === 'speech') yield Buffer.from(event.audio, 'base64');
    }
    // An abort ends them like the last phrase does.
    signal.throwIfAborted();
  }

  #engine(requested: string) {
    const { speech, aliases } = this.#deps;
    const model = aliases.get(requested) ?? requested;
    if (speech && (speech.models.includes(model) || isVendorSpeechModel(model))) return speech;
    throw new VoiceError('model_not_found', {
      message: 'There is no such speech model here.',
      details: { parameter: 'model' },
    });
  }
}

/** Phrases may come from two engines, each with a rate of its own. */
async function* atOneRate(wavs: AsyncIterable<Buffer>): AsyncGenerator<Int16Array> {
  let rate = 0;
  let resampler = new Resampler(SPEECH_RATE, SPEECH_RATE);
  for await (const wav of wavs) {
    const { pcm, sampleRate } = readWav(wav);
    if (sampleRate !== rate) {
      yield resampler.flush();
      resampler = new Resampler(sampleRate, SPEECH_RATE);
      rate = sampleRate;
    }
    yield resampler.push(samplesOf(pcm));
  }
  yield resampler.flush();
}

/** A copy, as PCM in a file may lie at an odd place. */
function samplesOf(pcm: Buffer): Int16Array {
  const bytes = Uint8Array.from(pcm);
  return new Int16Array(bytes.buffer, 0, bytes.length >> 1);
}
