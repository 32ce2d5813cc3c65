import { describe, expect, it } from '@jest/globals';
import { sessionMetrics, sessionTimeoutMs, utteranceMetrics } from './marks.ts';

const utterance = {
  startMs: 100,
  firstAudioMs: 110,
  lastAudioMs: 1030,
  flushMs: 1031,
  firstWordMs: 500,
  tokenMs: [400, 500, 1030, 1100],
  finalMs: 1150,
  doneMs: 1151,
};
const connection = { dialMs: 0, openMs: 40, createdMs: 90, endSentMs: 1152, closedMs: 1160 };

describe('utteranceMetrics', () => {
  it('measures from first audio, last audio and the closing commit', () => {
    expect(utteranceMetrics(utterance, 1)).toEqual({
      audioS: 1,
      ttfwMs: 390,
      sendMs: 921,
      finalFromFirstAudioMs: 1040,
      postSendToFinalMs: 120,
      flushToFinalMs: 119,
      decodeTailMs: 69,
      behindAudioMs: 40,
      rtfServer: 1.04,
      partials: 4,
      partialsBeforeLastChunk: 2,
      partialGapsMs: [100, 530, 70],
    });
  });

  it('has no tail when every token came before the closing commit', () => {
    expect(utteranceMetrics({ ...utterance, tokenMs: [400, 500] }, 1).decodeTailMs).toBe(0);
    expect(utteranceMetrics({ ...utterance, tokenMs: [] }, 1).decodeTailMs).toBe(0);
  });

  it('compares with the audio as sent, which a higher speed makes shorter', () => {
    expect(utteranceMetrics(utterance, 2, 2)).toMatchObject({
      audioS: 2,
      behindAudioMs: 40,
      rtfServer: 1.04,
    });
  });

  it('refuses an utterance without a final, so that none scores as zero', () => {
    const { finalMs: _, ...unfinished } = utterance;
    expect(() => utteranceMetrics(unfinished, 1)).toThrow(/never reached its mark "final"/);
  });
});

describe('sessionMetrics', () => {
  it('counts everything from the dial', () => {
    expect(sessionMetrics(connection, utterance, 1)).toMatchObject({
      connectMs: 40,
      handshakeMs: 50,
      firstAudioMs: 110,
      wallMs: 1150,
      finalFromConnectMs: 1110,
      rtfFull: 1.15,
      xRt: 1000 / 1150,
      closeMs: 8,
      postFinalMs: 10,
      sessionMs: 1160,
    });
  });
});

describe('sessionMetrics of audio sent faster', () => {
  it('compares the wall time with the audio as sent', () => {
    expect(sessionMetrics(connection, utterance, 2, 2)).toMatchObject({
      rtfServer: 1.04,
      rtfFull: 1.15,
      xRt: 1000 / 1150,
    });
  });
});

describe('sessionTimeoutMs', () => {
  it.each([
    [1, 87_000],
    [60, 205_000],
    [10_000, 600_000],
  ])('allows %d s of audio %d ms', (audioS, timeoutMs) => {
    expect(sessionTimeoutMs(audioS)).toBe(timeoutMs);
  });
});
