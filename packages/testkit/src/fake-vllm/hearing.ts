import { CodedListener, type ListenerOptions } from '../coded-speech.ts';

/** What hears the audio of one utterance. Replace it to let a real engine speak through the fake. */
export interface Hearing {
  /**
   * The text of delta `ordinal`, from 0; empty for none. `pcm` is the frame of 1280 samples that ends at
   * (ordinal + 1) × 80 ms of the utterance, zeros where the audio is over; it is valid until the answer settles. Called once
   * for each delta, in order, one at a time. A rejection is a failed generation.
   */
  frame(pcm: Buffer, ordinal: number): string | Promise<string>;
  /** The utterance is over or was aborted. An answer that is still open must settle soon: the engine waits for it. */
  close?(): void;
}

export interface CodedHearingOptions extends ListenerOptions {
  /** Tokens a word consists of at the most: its parts come with deltas in a row. Default 1. */
  readonly tokensPerWord?: number;
}

/** Hears coded speech. Every word begins with a space, also the first, as the model writes it. */
export function codedHearing(options: CodedHearingOptions = {}): Hearing {
  const listener = new CodedListener(options);
  const tokensPerWord = options.tokensPerWord ?? 1;
  const waiting: string[] = [];
  return {
    frame(pcm) {
      for (const word of listener.hear(pcm)) waiting.push(...cut(` ${word}`, tokensPerWord));
      return waiting.shift() ?? '';
    },
  };
}

/** Into at most `parts` pieces of equal length, none empty. */
function cut(text: string, parts: number): string[] {
  const chars = Math.ceil(text.length / parts);
  const pieces: string[] = [];
  for (let at = 0; at < text.length; at += chars) pieces.push(text.slice(at, at + chars));
  return pieces;
}
