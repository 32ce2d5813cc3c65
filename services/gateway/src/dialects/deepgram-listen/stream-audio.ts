import type { ClientCommand } from '@voice-fleet/protocol/session';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { PcmDecoder, type PcmFormat } from '@voice-fleet/speech/pcm-decoder';

/** The audio of a stream, as commands. */
export class StreamAudio {
  readonly #decoder: PcmDecoder;
  #samples = 0;

  constructor(format: PcmFormat) {
    this.#decoder = new PcmDecoder(format);
  }

  /** Those so far, on the session's clock. */
  get samples(): number {
    return this.#samples;
  }

  push(bytes: Buffer): ClientCommand {
    return this.#command(this.#decoder.push(bytes));
  }

  /** No more comes: with the last samples of another rate. */
  finish(): ClientCommand {
    const last = this.#command(this.#decoder.flush());
    const finish = { kind: 'finish' } as const;
    return last.kind === 'ignore' ? finish : { kind: 'several', commands: [last, finish] };
  }

  #command(pcm: Buffer): ClientCommand {
    if (pcm.length === 0) return { kind: 'ignore' };
    this.#samples += pcm.length / BYTES_PER_SAMPLE;
    return { kind: 'audio', utteranceId: undefined, pcm };
  }
}
