import { beforeEach, describe, expect, it } from '@jest/globals';
import { PlayOrder } from './play-order.js';

describe('phrases of a reply', () => {
  let order;
  beforeEach(() => {
    order = new PlayOrder();
  });

  it('are played by their numbers, in whatever order they were decoded', () => {
    for (const seq of [4, 5, 6]) order.expect(seq);
    expect(order.put(6, 'c')).toEqual([]);
    expect(order.put(5, 'b')).toEqual([]);
    expect(order.put(4, 'a')).toEqual(['a', 'b', 'c']);
  });

  it('do not wait for one that could not be decoded', () => {
    order.expect(0);
    expect(order.put(1, 'b')).toEqual([]);
    expect(order.skip(0)).toEqual(['b']);
  });

  it('are played once', () => {
    expect(order.put(0, 'a')).toEqual(['a']);
    expect(order.put(0, 'again')).toEqual([]);
  });

  it('begin anew with any number after a stop', () => {
    order.put(0, 'a');
    order.put(2, 'c');
    order.clear();
    expect(order.put(3, 'd')).toEqual(['d']);
  });

  it('are not held for ever for one that never comes', () => {
    order.expect(0);
    const played = Array.from({ length: 65 }, (_, index) => order.put(index + 1, index + 1));
    expect(played.slice(0, 64).flat()).toEqual([]);
    expect(played[64]).toHaveLength(65);
    expect(played[64].slice(0, 3)).toEqual([1, 2, 3]);
  });
});
