import { describe, expect, it } from '@jest/globals';
import { readWav } from '@voice-fleet/speech/wav';
import { range, silence } from '@voice-fleet/testkit/coded-speech';
import { tokensOf } from '@voice-fleet/testkit/fake-openai/fake-chat';
import { AudioChatRig, SPEECH } from '../support/audio-chat.ts';
import { ScriptedEngine } from '../support/scripted-engine.ts';
import { until } from '../support/until.ts';

describe('mode chat', () => {
  it('C4: answers the audio itself in chunks, the last of them final, and what is silent with no speech', async () => {
    await using rig = await AudioChatRig.start();
    const { fleet } = rig;
    await fleet.addWorker(new ScriptedEngine());
    await until(async () => (await fleet.get('/readyz', 1)).status === 200, 'the fleet is ready');
    const socket = await fleet.voice({ gateway: 1 });
    rig.chat.next({ tokens: tokensOf('One two three four five six seven.') });
    const { pcm } = readWav(SPEECH);
    socket.say(pcm, { mode: 'chat', chunk_size_words: 3 });
    await socket.latency();
    const chunks = socket.of('text_chunk');
    expect(chunks.map(({ text }) => text).join('')).toBe('One two three four five six seven.');
    expect(chunks.map(({ is_final }) => is_final)).toEqual([
      ...chunks.slice(1).map(() => false),
      true,
    ]);
    expect(chunks.map(({ chunk_index }) => chunk_index)).toEqual(range(0, chunks.length - 1));
    expect(rig.chat.heard[0]?.pcm.equals(pcm)).toBe(true);
    expect(socket.story.slice(-2)).toEqual(['text_chunk', 'latency']);

    socket.say(silence(1000), { mode: 'chat' });
    await socket.latency();
    expect(socket.of('text_chunk').at(-1)).toMatchObject({ success: false, is_final: true });
    expect(rig.chat.calls).toHaveLength(1);

    rig.chat.next({ tokens: tokensOf('And on'), gapMs: 20, fault: { kind: 'stall' } });
    socket.say(pcm, { mode: 'chat' });
    await until(() => rig.chat.calls.length === 2, 'the model is asked');
    socket.cancel();
    await socket.coded('CANCELLED');
    await rig.chat.last.exchange.closed;
  });
});
