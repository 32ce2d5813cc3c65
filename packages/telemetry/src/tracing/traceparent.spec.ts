import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatTraceparent, parseTraceparent, traceparentOf } from './traceparent.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('a traceparent', () => {
  it.each([
    ['sampled', `00-${TRACE}-${SPAN}-01`, true],
    ['not sampled', `00-${TRACE}-${SPAN}-00`, false],
    ['with flags of later versions', `00-${TRACE}-${SPAN}-fb`, true],
    ['of a later version with more behind it', `01-${TRACE}-${SPAN}-01-more`, true],
  ])('is read: %s', (_what, header, sampled) => {
    expect(parseTraceparent(header)).toEqual({ traceId: TRACE, spanId: SPAN, sampled });
  });

  it.each([
    ['nothing', undefined],
    ['no text', 7],
    ['several', [`00-${TRACE}-${SPAN}-01`]],
    ['empty', ''],
    ['capital letters', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['a span of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['version ff', `ff-${TRACE}-${SPAN}-01`],
    ['version 00 with more behind it', `00-${TRACE}-${SPAN}-01-x`],
    ['a line break behind it', `00-${TRACE}-${SPAN}-01\n`],
    ['a very long one', `01-${TRACE}-${SPAN}-01-${'x'.repeat(500)}`],
  ])('is none: %s', (_what, header) => {
    expect(traceparentOf(header)).toBeUndefined();
  });

  it('is the same after it was read and written', () => {
    const hex = (length: number): fc.Arbitrary<string> =>
      fc
        .array(fc.integer({ min: 0, max: 15 }), { minLength: length, maxLength: length })
        .map((digits) => digits.map((digit) => digit.toString(16)).join(''))
        .filter((text) => !/^0+$/.test(text));
    fc.assert(
      fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, sampled) => {
        const parent = { traceId, spanId, sampled };
        expect(parseTraceparent(formatTraceparent(parent))).toEqual(parent);
      }),
    );
  });

  it('is never read from what only looks like it', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 80 }), (text) => {
        const found = parseTraceparent(text);
        if (found !== undefined) expect(text).toContain(found.traceId);
      }),
    );
  });
});
