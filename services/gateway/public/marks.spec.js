import { describe, expect, it } from '@jest/globals';
import { axisOf, duration, markOf, markRows, PageMarks } from './marks.js';

describe('the marks of the page', () => {
  it('keep when each moment first came, for one turn', () => {
    let now = 100;
    const marks = new PageMarks(() => now);
    const first = marks.begin();
    marks.mark('t0');
    now = 350;
    marks.mark('t0');
    marks.mark('t1');
    const second = marks.begin();
    marks.mark('t0');
    expect(first).toEqual({ t0: 100, t1: 350 });
    expect(second).toEqual({ t0: 350 });
  });

  it.each([
    [{ type: 'partial_transcript', text: 'a' }, 't1'],
    [{ type: 'final_transcript', text: 'a', provisional: true }, undefined],
    [{ type: 'final_transcript', text: 'a', id: '1' }, 't2'],
    [{ type: 'llm_token', text: 'a', done: false }, 't3'],
    [{ type: 'llm_token', done: true }, undefined],
    [{ type: 'text_chunk', text: 'a' }, 't3'],
    // It counts when it is heard, not when it comes.
    [{ type: 'tts_chunk', seq: 0 }, undefined],
  ])('are set by frames: %j sets %s', (frame, mark) => {
    expect(markOf(frame)).toBe(mark);
  });
});

describe('the rows of the chart', () => {
  it('count both clocks from their own first audio', () => {
    const rows = markRows({ t0: 5_000, t1: 5_900, t2: 7_000 }, { t0: 90, t1: 1_000, t4: 2_090.4 });
    expect(rows.map(({ name, server, page }) => [name, server, page])).toEqual([
      ['t0', 0, 0],
      ['t1', 900, 910],
      ['t2', 2_000, undefined],
      ['t3', undefined, undefined],
      ['t4', undefined, 2_000],
    ]);
  });

  it('are empty where nothing was measured', () => {
    const values = markRows().flatMap(({ server, page }) => [server, page]);
    expect(values.every((value) => value === undefined)).toBe(true);
    expect(axisOf(markRows())).toEqual({ end: 1_000, ticks: [] });
  });

  it.each([1, 9, 87, 430, 999, 1_234, 8_610, 29_900])('lie on a round axis at %i ms', (longest) => {
    const { end, ticks } = axisOf([{ server: longest }]);
    expect(end).toBeGreaterThanOrEqual(longest);
    expect(ticks.length).toBeGreaterThanOrEqual(3);
    expect(ticks.length).toBeLessThanOrEqual(6);
    expect(ticks.at(-1)).toBeCloseTo(end);
  });

  it.each([
    [undefined, '–'],
    [0, '0 ms'],
    [849.6, '850 ms'],
    [1_234, '1.23 s'],
  ])('say %p as %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });
});
