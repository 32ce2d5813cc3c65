import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import fc from 'fast-check';
import { AppendTemplate } from './append-template.ts';
import { YapCodec } from './codec.ts';

const SETTINGS = { unauthorizedCode: 1008, busyCode: 1013, idleReason: 'idle_timeout' };
const IDS = { session_id: 's', request_id: 'r' };

function append(audio: string, ids = IDS): string {
  return JSON.stringify({ type: 'input_audio_buffer.append', ...ids, payload: { audio } });
}

/** What a codec makes of a frame and which ids it answers with afterwards. */
function outcome(codec: YapCodec, frame: Buffer): unknown {
  let result: unknown;
  try {
    result = codec.decode(frame, false);
  } catch (error) {
    if (!(error instanceof VoiceError)) throw error;
    result = [error.code, error.message];
  }
  return [result, codec.encode({ kind: 'pong' })];
}

function learnt(first: string): YapCodec {
  const codec = new YapCodec(SETTINGS);
  codec.decode(Buffer.from(first), false);
  return codec;
}

/** A codec that has seen nothing of the kind, but answers with the same ids. */
function unlearnt(): YapCodec {
  const codec = new YapCodec(SETTINGS);
  codec.decode(Buffer.from(JSON.stringify({ type: 'pong', ...IDS })), false);
  return codec;
}

describe('AppendTemplate', () => {
  it('gives the audio of a frame that differs in its audio alone', () => {
    const template = new AppendTemplate();
    template.learn(Buffer.from(append('AAAA')), IDS, 'AAAA');
    expect(template.match(Buffer.from(append('BBBBCCCC')))).toBe('BBBBCCCC');
    expect(template.ids).toEqual(IDS);
  });

  it('knows the spacing of other JSON writers', () => {
    const frame = (audio: string): Buffer =>
      Buffer.from(`{"type": "input_audio_buffer.append", "payload": {"audio": "${audio}"}}`);
    const template = new AppendTemplate();
    template.learn(frame('AAAA'), IDS, 'AAAA');
    expect(template.match(frame('BBBB'))).toBe('BBBB');
  });

  it.each([
    ['has the audio elsewhere', '{"payload":{"audio":"AAAA"},"x":{"y":"AAAA"}}'],
    ['names another audio last', '{"payload":{"audio":"AAAA"},"x":{"audio":"AAAA"}}'],
    ['writes a key with an escape', '{"payload":{"\\u0061udio":"AAAA"},"x":{"audio":"AAAA"}}'],
    ['does not end with the audio', '{"payload":{"audio":"AAAA"},"x":1}'],
    ['escapes its audio', '{"payload":{"audio":"AA\\u0041A"}}'],
  ])('learns nothing of a frame that %s', (_, frame) => {
    const template = new AppendTemplate();
    template.learn(Buffer.from(frame), IDS, 'AAAA');
    const other = frame.replaceAll('AAAA', 'BBBB');
    expect(template.match(Buffer.from(frame))).toBeUndefined();
    expect(template.match(Buffer.from(other))).toBeUndefined();
  });

  it('changes nothing of what any frame means', () => {
    const byte = fc.integer({ min: 0, max: 255 });
    const edit = fc.record({
      at: fc.nat(200),
      remove: fc.nat(3),
      insert: fc.array(byte, { maxLength: 3 }),
    });
    const audio = fc
      .uint8Array({ maxLength: 60 })
      .map((bytes) => Buffer.from(bytes).toString('base64'));
    const text = fc.string({ minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(
        audio,
        text,
        text,
        fc.array(edit, { maxLength: 2 }),
        (spoken, sid, rid, edits) => {
          let frame = Buffer.from(
            append(spoken, sid < 'm' ? IDS : { session_id: sid, request_id: rid }),
          );
          for (const { at, remove, insert } of edits) {
            frame = Buffer.concat([
              frame.subarray(0, at),
              Buffer.from(insert),
              frame.subarray(at + remove),
            ]);
          }
          expect(outcome(learnt(append('AAAAAAAA')), frame)).toEqual(outcome(unlearnt(), frame));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('answers with the ids of the frame, whatever came between', () => {
    const codec = learnt(append('AAAAAAAA'));
    codec.decode(
      Buffer.from(JSON.stringify({ type: 'ping', session_id: 's', request_id: 'p' })),
      false,
    );
    codec.decode(Buffer.from(append('BBBBBBBB')), false);
    expect(JSON.parse(codec.encode({ kind: 'pong' })[0] ?? '')).toMatchObject(IDS);
  });
});
