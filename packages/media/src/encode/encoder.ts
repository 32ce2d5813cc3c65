/** What speech can be sent as. */
export const SPEECH_FORMATS = ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'] as const;
export type SpeechFormat = (typeof SPEECH_FORMATS)[number];

/** Turns one stream of mono PCM16 into the bytes of a format. */
export interface SpeechEncoder {
  /** What is ready now; may be empty. */
  push(pcm: Int16Array): Buffer;
  /** The rest. Nothing may be pushed any more. */
  end(): Buffer;
  /** Lets go of what it holds; any number of times, at any time. */
  close(): void;
}

export const CONTENT_TYPES: Readonly<Record<SpeechFormat, string>> = {
  mp3: 'audio/mpeg',
  opus: 'audio/ogg; codecs=opus',
  aac: 'audio/aac',
  flac: 'audio/flac',
  wav: 'audio/wav',
  pcm: 'audio/pcm',
};

/** A view; every machine this runs on is little-endian, as PCM16 LE is. */
export function bytesOf({ buffer, byteOffset, byteLength }: Int16Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
