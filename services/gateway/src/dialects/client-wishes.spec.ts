import { beforeEach, describe, expect, it } from '@jest/globals';
import { ClientWishes } from './client-wishes.ts';

const ONE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const OTHER = '00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-00';

describe('what a client wants to be known of its session', () => {
  let wishes: ClientWishes;

  beforeEach(() => {
    wishes = new ClientWishes();
  });

  it('is nothing at first', () => {
    wishes.utterance({});
    expect([wishes.trace, wishes.report]).toEqual([undefined, false]);
  });

  it('is the trace of one utterance, whether that names it or the frame before', () => {
    wishes.session({ traceparent: ONE });
    expect(wishes.trace).toBeUndefined();
    wishes.utterance({});
    expect(wishes.trace).toBe(ONE);
    wishes.utterance({});
    expect(wishes.trace).toBeUndefined();
    wishes.session({ traceparent: ONE });
    wishes.utterance({ traceparent: OTHER });
    expect(wishes.trace).toBe(OTHER);
  });

  it.each([[7], ['no trace'], [null], [{}]])(
    'passes over a trace that is none: %j',
    (traceparent) => {
      wishes.utterance({ traceparent, report: traceparent });
      expect([wishes.trace, wishes.report]).toEqual([undefined, false]);
    },
  );

  it('is a report at the end, until it says otherwise', () => {
    wishes.utterance({ report: true });
    wishes.utterance({});
    expect(wishes.report).toBe(true);
    wishes.session({ report: false });
    expect(wishes.report).toBe(false);
  });
});
