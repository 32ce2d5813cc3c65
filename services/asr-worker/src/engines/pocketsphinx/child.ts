/**
 * The process that decodes. It is forked because a failed assertion in the C library ends its whole process; it keeps
 * nothing that its parent could not send again, and it lives no longer than its parent.
 */
import { Decoder } from './decoder.ts';
import { DecoderPool } from './decoder-pool.ts';
import { FrontEnd } from './front-end.ts';
import { loadSphinx } from './library.ts';
import type { FromChild, ToChild } from './messages.ts';
import { Segment, type SegmentDeps } from './segment.ts';

type Shared = Pick<SegmentDeps, 'pool' | 'frontEnd'>;
type StreamMessage = Exclude<ToChild, { kind: 'load' }>;

let shared: Shared | undefined;
const segments = new Map<number, { readonly segment: Segment; turn: Promise<void> }>();

function send(message: FromChild): void {
  if (process.connected) process.send?.(message);
}

async function load({ files, decoders }: Extract<ToChild, { kind: 'load' }>): Promise<void> {
  try {
    const library = loadSphinx(files);
    const pool = new DecoderPool(decoders, () => Decoder.make(library));
    // The first decoder shows that the model loads, and reads it into the page cache.
    (await pool.lend()).giveBack();
    shared = { pool, frontEnd: new FrontEnd(library) };
    send({ kind: 'ready' });
  } catch (error) {
    send({ kind: 'unusable', reason: error instanceof Error ? error.message : String(error) });
  }
}

function open(deps: Shared, { stream, mean, resume }: Extract<ToChild, { kind: 'open' }>): void {
  const segment = new Segment(
    {
      ...deps,
      onLending: (kind) => send({ kind, stream }),
      onDecoded: (decodedSamples, words, tail) =>
        send({ kind: 'decoded', stream, decodedSamples, words, tail }),
    },
    mean,
    resume,
  );
  segments.set(stream, { segment, turn: Promise.resolve() });
}

async function serve(segment: Segment, message: StreamMessage): Promise<void> {
  const { stream } = message;
  switch (message.kind) {
    case 'open':
      return;
    case 'write':
      await segment.write(message.pcm);
      return send({ kind: 'taken', stream });
    case 'finish': {
      const mean = await segment.finish();
      // Closed first: who reads `ended` may count on a free decoder.
      await segment.close();
      segments.delete(stream);
      return send({ kind: 'ended', stream, mean });
    }
    case 'abort':
      await segment.close();
      segments.delete(stream);
  }
}

process.on('message', (message: ToChild) => {
  if (message.kind === 'load') {
    void load(message);
    return;
  }
  if (message.kind === 'open' && shared) open(shared, message);
  const entry = segments.get(message.stream);
  if (!entry) return;
  if (message.kind === 'abort') entry.segment.abort();
  // One call at a time for each stream. An error here is a bug, and ends the process for its parent to see.
  entry.turn = entry.turn.then(() => serve(entry.segment, message));
});

process.on('disconnect', () => process.exit());
// Ctrl-C reaches the whole process group, but the parent still drains: it decides when this ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
