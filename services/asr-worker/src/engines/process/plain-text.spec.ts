import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PlainText } from './plain-text.ts';

function read(bytes: Buffer, pieceBytes = bytes.length): string {
  const plain = new PlainText();
  let text = '';
  for (let at = 0; at < bytes.length; at += pieceBytes)
    text += plain.push(bytes.subarray(at, at + pieceBytes));
  return text;
}

describe('PlainText', () => {
  it.each([
    ['colours', '\u001b[1;32m one\u001b[0m two', ' one two'],
    ['a title', '\u001b]0;voxtral\u0007 one', ' one'],
    ['a title ended by a string terminator', '\u001b]0;voxtral\u001b\\ one', ' one'],
    ['a character set', '\u001b(B one', ' one'],
    ['controls', ' o\u0000n\u0007e\u007f', ' one'],
    ['a byte order mark', '\ufeffone', 'one'],
  ])('leaves out %s, however it is cut', (_name, printed, text) => {
    const bytes = Buffer.from(printed);
    for (const pieceBytes of [1, 2, 3, bytes.length]) expect(read(bytes, pieceBytes)).toBe(text);
  });

  it('keeps white space, accents, joined scripts and emoji, cut within characters', () => {
    const text = ' größer\n日本語\tहिन्दी عربي 👩‍🔬 naïve';
    for (const pieceBytes of [1, 2, 3, 5]) expect(read(Buffer.from(text), pieceBytes)).toBe(text);
  });

  it('leaves out bytes that are no text', () => {
    expect(read(Buffer.from([0x20, 0xff, 0x61, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0x62]))).toBe(' a(b');
  });

  it('reads on behind a sequence that does not end', () => {
    expect(read(Buffer.from(`\u001b]${'x'.repeat(1_000)} one`))).toMatch(/x one$/);
    expect(read(Buffer.from(`\u001b[${'1;'.repeat(1_000)} one`))).toMatch(/; one$/);
  });

  it('reads any bytes as it reads them one by one', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (array) => {
        const bytes = Buffer.from(array);
        expect(read(bytes, 1)).toBe(read(bytes));
        expect(read(bytes)).not.toMatch(/(?!\s)\p{Cc}|\ufffd/u);
      }),
    );
  });
});
