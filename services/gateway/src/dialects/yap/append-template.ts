/** Ids of a message, as the envelope names them. */
export interface Ids {
  readonly session_id: string;
  readonly request_id: string;
}

const END = Buffer.from('"}}');
const OPENS_AUDIO = /"audio"\s*:\s*"$/;

/**
 * The bytes around the audio of the last append. Clients write all frames of an utterance alike, so the next one mostly
 * differs in its audio alone and need not be parsed, which is two thirds of decoding it. Whatever differs in any other
 * byte goes the long way.
 */
export class AppendTemplate {
  #head: Buffer | undefined;
  #ids: Ids = { session_id: 'unknown', request_id: 'unknown' };

  /** The ids of the append learnt. */
  get ids(): Ids {
    return this.#ids;
  }

  /** Learns from a frame that was parsed and found to be an append of `audio`. */
  learn(data: Buffer, ids: Ids, audio: string): void {
    this.#head = undefined;
    const end = data.length - END.length - audio.length;
    if (end <= 0 || !endsWith(data, END)) return;
    const head = data.toString('utf8', 0, end);
    // The document's last string stands under its only "audio" key, and nothing is escaped: so whatever stands there is
    // payload.audio.
    const isOnly = head.indexOf('"audio"') === head.lastIndexOf('"audio"');
    if (!OPENS_AUDIO.test(head) || !isOnly || head.includes('\\')) return;
    this.#head = Buffer.from(head);
    this.#ids = ids;
  }

  /**
   * The audio of a frame like the one learnt; undefined when it must be parsed. If it is not base64, the string may have
   * ended elsewhere or hold an escape: then the frame must be parsed, too.
   */
  match(data: Buffer): string | undefined {
    const head = this.#head;
    if (head === undefined || data.length <= head.length + END.length) return undefined;
    if (data.compare(head, 0, head.length, 0, head.length) !== 0 || !endsWith(data, END))
      return undefined;
    return data.toString('latin1', head.length, data.length - END.length);
  }
}

function endsWith(data: Buffer, end: Buffer): boolean {
  return data.compare(end, 0, end.length, data.length - end.length) === 0;
}
