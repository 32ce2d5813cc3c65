/** RFC 6455: a close frame holds 125 bytes, two of them the code. */
const MAX_CLOSE_REASON_BYTES = 123;

/** Cuts to what a close frame holds, at a character border. */
export function clipReason(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= MAX_CLOSE_REASON_BYTES) return reason;
  return bytes
    .subarray(0, MAX_CLOSE_REASON_BYTES)
    .toString()
    .replace(/\uFFFD+$/, '');
}
