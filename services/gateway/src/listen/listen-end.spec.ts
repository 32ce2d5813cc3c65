import { beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { MS, Rig, word } from './listen.fixture.ts';

describe('a listening session when it is quiet', () => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await Rig.open(new FakeClock());
  });

  const say = (endMs: number): void => {
    rig.speech('started', endMs - 200);
    rig.speech('ended', endMs);
    rig.final(word(' one', endMs - 200, endMs));
  };

  it('tells so once, by the clock, as silence may not be sent', () => {
    rig.speakers({ quietMs: 1_000 });
    rig.audio(600);
    say(400);
    rig.sink.events.length = 0;
    rig.clock.advance(799);
    expect(rig.story()).toEqual([]);
    rig.clock.advance(1);
    expect(rig.story()).toEqual(['quiet since 400']);
    rig.clock.advance(10_000);
    expect(rig.story()).toEqual(['quiet since 400']);
  });

  it('does not when somebody speaks again, but after that', () => {
    rig.speakers({ quietMs: 1_000 });
    rig.audio(600);
    say(400);
    rig.clock.advance(500);
    rig.audio(500);
    rig.speech('started', 1_000);
    rig.clock.advance(5_000);
    expect(rig.told('quiet')).toEqual([]);
    // It was noise.
    rig.speech('ended', 1_100);
    rig.final();
    rig.clock.advance(1_000);
    expect(rig.told('quiet')).toEqual([{ kind: 'quiet', sample: 400 * MS }]);
  });

  it('waits a little longer when somebody may be speaking', () => {
    rig.speakers({ quietMs: 1_000 });
    rig.audio(600);
    say(400);
    rig.clock.advance(500);
    rig.audio(100);
    rig.partial([], ' uh');
    rig.clock.advance(999);
    expect(rig.told('quiet')).toEqual([]);
    rig.clock.advance(1);
    expect(rig.told('quiet')).toEqual([{ kind: 'quiet', sample: 400 * MS }]);
  });
});

describe('a listening session is busy', () => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await Rig.open(new FakeClock());
  });

  it('from the first audio on when its client ends utterances', () => {
    expect(rig.pipeline.busy).toBe(false);
    rig.audio(100);
    expect(rig.pipeline.busy).toBe(true);
    rig.commit();
    rig.final();
    expect(rig.pipeline.busy).toBe(false);
  });

  it('only when somebody was heard, where silence ends utterances', () => {
    rig.speakers();
    rig.audio(100);
    expect(rig.pipeline.busy).toBe(false);
    rig.speech('started', 50);
    expect(rig.pipeline.busy).toBe(true);
  });

  it('no more, and its session neither, when silence was all and no audio comes', () => {
    rig.speakers();
    rig.audio(100);
    rig.clock.advance(40_000);
    expect(rig.session.busy).toBe(false);
    expect(rig.story()).toEqual([]);
    rig.audio(100);
    expect(rig.session.busy).toBe(true);
  });
});

describe('a listening session that must end', () => {
  it('comes to the end of its utterance, whatever waits', async () => {
    const rig = await Rig.open(new FakeClock());
    for (let part = 0; part < 4; part += 1) rig.audio(1_000);
    rig.session.endWith(new VoiceError('audio_quota_exhausted'));
    rig.audio(1_000);
    rig.taken(2_000);
    rig.final(word(' one', 0, 500));
    expect(rig.story().slice(0, 4)).toEqual([
      'heard 1 one +',
      'committed 1 0-5000 finish',
      'transcribed 1 one',
      'error',
    ]);
    expect(rig.sink.ends).toMatchObject([
      { kind: 'error', error: { code: 'audio_quota_exhausted' } },
    ]);
  });
});
