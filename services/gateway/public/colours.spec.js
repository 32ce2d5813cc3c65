import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

const CSS = readFileSync(new URL('./layout.css', import.meta.url), 'utf8');
/** In the order they stand: light, dark by choice, dark by the system. */
const THEMES = CSS.split(':root').slice(1).map(coloursOf);

function coloursOf(block) {
  const end = block.indexOf('}');
  return Object.fromEntries(
    [...block.slice(0, end).matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, hex]) => [
      name,
      hex,
    ]),
  );
}

/** WCAG 2: relative luminance. */
function luminance(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

describe('the colours of the page', () => {
  it("are the same whether the dark was chosen or is the system's", () => {
    expect(THEMES).toHaveLength(3);
    expect(THEMES[2]).toEqual(THEMES[1]);
    expect(Object.keys(THEMES[1]).sort()).toEqual(Object.keys(THEMES[0]).sort());
  });

  describe.each([
    ['light', THEMES[0]],
    ['dark', THEMES[1]],
  ])('%s', (_name, theme) => {
    // What is read needs 4.5 to 1 (AA), and what only marks a border or a control 3 to 1.
    it.each([
      ['ink', 'paper', 4.5],
      ['ink', 'raised', 4.5],
      ['ink', 'wash', 4.5],
      ['soft', 'paper', 4.5],
      ['soft', 'raised', 4.5],
      ['soft', 'wash', 4.5],
      ['reply', 'paper', 4.5],
      ['on-ink', 'ink', 4.5],
      ['paper', 'speech', 4.5],
      ['line-strong', 'paper', 3],
      ['line-strong', 'raised', 3],
      ['speech', 'wash', 3],
      ['reply', 'wash', 3],
    ])('%s stands out from %s', (one, other, least) => {
      expect(contrast(theme[one], theme[other])).toBeGreaterThanOrEqual(least);
    });
  });
});
