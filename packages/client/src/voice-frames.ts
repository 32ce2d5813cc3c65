import { VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import type { RawData } from 'ws';
import { VoiceProtocolError } from './voice-errors.ts';

/** A frame of the server, or what is wrong with what came instead of one. */
export function parseVoiceFrame(
  data: RawData | string,
  isBinary: boolean,
): VoiceServerFrame | VoiceProtocolError {
  if (isBinary) return new VoiceProtocolError('The server sent a binary frame.');
  let json: unknown;
  try {
    json = JSON.parse(data.toString());
  } catch {
    return new VoiceProtocolError('The server sent a frame that is not JSON.');
  }
  const parsed = VoiceServerFrame.safeParse(json);
  if (parsed.success) return parsed.data;
  const type = (json as { type?: unknown } | null)?.type;
  return new VoiceProtocolError(
    `The server sent a frame of type ${JSON.stringify(type)} that is not of the voice protocol.`,
  );
}

/** A frame that nobody took in time costs memory; so many may wait. */
const MAX_WAITING_FRAMES = 10_000;

/** Frames on their way to one reader, who may be slower than they come. When too many wait, reading fails. */
export class VoiceFrameQueue implements AsyncIterable<VoiceServerFrame> {
  readonly #waiting: VoiceServerFrame[] = [];
  #wake: () => void = () => {};
  #end: { readonly error: Error | undefined } | undefined;

  push(frame: VoiceServerFrame): void {
    if (this.#end) return;
    if (this.#waiting.length >= MAX_WAITING_FRAMES) {
      this.end(new VoiceProtocolError(`More than ${MAX_WAITING_FRAMES} frames were left unread.`));
      return;
    }
    this.#waiting.push(frame);
    this.#wake();
  }

  /** What waits may still be read; then reading ends, or fails with the error. */
  end(error?: Error): void {
    this.#end ??= { error };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<VoiceServerFrame> {
    for (;;) {
      const frame = this.#waiting.shift();
      if (frame) yield frame;
      else if (this.#end?.error) throw this.#end.error;
      else if (this.#end) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
