import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { range, silence, speak, transcript } from '@voice-fleet/testkit/coded-speech';
import { Fleet } from '../support/fleet.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';

describe('the voice protocol', () => {
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await Fleet.start([new ScriptedEngine({ slots: 16 })], {
      STREAM_PARTIAL_INTERVAL_MS: '250',
    });
  });
  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
  });

  it('P1: /ws and /ws2 are the same', async () => {
    for (const path of ['/ws', '/ws2']) {
      const socket = await fleet.voice({ path });
      socket.say(speak([1, 2]), { mode: 'transcribe' });
      const final = await socket.next('final_transcript');
      expect(final.text).toBe('w1 w2');
      await socket.latency();
      expect(socket.story).toEqual([
        'info',
        'protocol',
        'finalize_pending',
        'final_transcript',
        'latency',
      ]);
    }
  });

  it('P12, P13: stop amid speech brings finalize_pending and the words, in this order', async () => {
    const socket = await fleet.voice();
    socket.start({ mode: 'transcribe' });
    socket.speak(speak(range(1, 3)));
    socket.stop();
    expect((await socket.next('finalize_pending')).reason).toBe('explicit_stop');
    expect((await socket.next('final_transcript')).text).toBe(transcript(range(1, 3)));
    const { story } = socket;
    expect(story[story.indexOf('final_transcript') - 1]).toBe('finalize_pending');
  });

  it('P11: silence ends an utterance, though no more frames come', async () => {
    const socket = await fleet.voice();
    socket.start({ mode: 'transcribe' });
    socket.speak(Buffer.concat([speak([1, 2]), silence(80)]));
    expect((await socket.next('finalize_pending')).reason).toBe('vad_silence_timeout');
    expect((await socket.next('final_transcript')).text).toBe('w1 w2');
  });
});
