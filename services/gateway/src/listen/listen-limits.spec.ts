import { beforeEach, describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { Rig, word } from './listen.fixture.ts';

const limited = expect.objectContaining({ code: 'message_rate_limited' });

describe('a listening session whose messages are limited', () => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await Rig.open(new FakeClock(), { messagesPerWindow: 4 });
  });

  it('counts commits, and audio that has to wait', () => {
    rig.audio(100);
    rig.commit();
    // The session has no room for it before the final of the first.
    rig.audio(100);
    rig.audio(100);
    expect(() => rig.audio(100)).toThrow(limited);
    expect(() => rig.commit()).toThrow(limited);
    expect(() => rig.listen({})).toThrow(limited);
    expect(() => rig.pipeline.apply({ kind: 'clear' })).toThrow(limited);
    rig.final(word(' one', 0, 50));
    rig.taken(300);
    rig.clock.advance(60_000);
    rig.commit();
    rig.final(word(' two', 150, 250));
    expect(rig.story()).toEqual([
      'committed 1 0-100 client',
      'heard 1 one +',
      'transcribed 1 one',
      'committed 2 100-300 client',
      'heard 2 two +',
      'transcribed 2 two',
    ]);
  });

  it('counts one frame as one message, whatever it means', () => {
    const pcm = Buffer.alloc(1_600);
    for (let round = 0; round < 4; round += 1)
      rig.pipeline.apply({
        kind: 'several',
        commands: [
          { kind: 'audio', utteranceId: undefined, pcm },
          { kind: 'finalize', utteranceId: undefined },
        ],
      });
    expect(rig.told('committed')).toHaveLength(4);
    expect(() => rig.audio(100)).toThrow(limited);
  });
});

it('refuses a frame that is longer than what is kept, and hears what comes before and behind it', async () => {
  const rig = await Rig.open(new FakeClock());
  rig.audio(100);
  expect(() => rig.audio(132_001)).toThrow(new VoiceError('message_too_large'));
  rig.audio(100);
  rig.commit();
  expect(rig.story()).toEqual(['committed 1 0-200 client']);
});
