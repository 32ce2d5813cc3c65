import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import fc from 'fast-check';
import { transcriptionWishes } from './transcription-wishes.ts';

const read = (...fields: readonly (readonly [string, ...string[]])[]) =>
  transcriptionWishes(new Map(fields.map(([name, ...values]) => [name, values])));

describe('what a client asks of a transcription', () => {
  it('is plain JSON of whatever is served, if it does not say', () => {
    expect(read()).toEqual({
      model: undefined,
      language: undefined,
      format: 'json',
      stream: false,
      parts: { segments: true, words: false },
    });
  });

  it.each([
    [['timestamp_granularities[]', 'word'], { segments: false, words: true }],
    [['timestamp_granularities[]', 'word', 'segment'], { segments: true, words: true }],
    [['timestamp_granularities', 'word,segment'], { segments: true, words: true }],
    [['timestamp_granularities[0]', 'word'], { segments: false, words: true }],
    [['timestamp_granularities[]', 'segment'], { segments: true, words: false }],
  ] as const)('has the parts that %j names', (field, parts) => {
    expect(read(field).parts).toEqual(parts);
  });

  it('may be a stream of text alone', () => {
    expect(read(['stream', 'True']).stream).toBe(true);
    expect(read(['stream', 'false'], ['response_format', 'srt']).stream).toBe(false);
    expect(() => read(['stream', '1'], ['response_format', 'verbose_json'])).toThrow('no verbose');
  });

  it('is read or refused with the field that is wrong, whatever is sent', () => {
    const name = fc.constantFrom(
      'response_format',
      'stream',
      'timestamp_granularities[]',
      'model',
      'language',
      '__proto__',
    );
    const value = fc.oneof(fc.constantFrom('json', 'true', 'word', '', ','), fc.string());
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.array(value, { maxLength: 3 }))), (fields) => {
        try {
          transcriptionWishes(new Map(fields));
        } catch (error) {
          expect(error).toBeInstanceOf(VoiceError);
          expect((error as VoiceError).code).toBe('invalid_message');
          expect((error as VoiceError).details).toHaveProperty('param');
        }
      }),
    );
  });
});
