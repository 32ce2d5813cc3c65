import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { YapUtterance } from './yap-utterance.ts';

const ids = { session_id: 's', request_id: 'u' };
const token = (text: string) => ({ type: 'token', ...ids, payload: { text } }) as const;
const final = { type: 'final', ...ids, payload: { normalized_text: ' a' } } as const;
const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
const done = { type: 'done', ...ids, payload: { usage } } as const;

function begin() {
  const clock = new FakeClock();
  const sent: [type: string, payload: object][] = [];
  const send = (type: string, payload: object): void => void sent.push([type, payload]);
  return {
    clock,
    sent,
    utterance: new YapUtterance({ requestId: 'u', clock, handlers: {}, send }),
  };
}

describe('YapUtterance', () => {
  it('sends the opening commit, base64 audio and the closing commit', () => {
    const { sent, utterance } = begin();
    utterance.append(Buffer.from([1, 2]));
    utterance.finalize();
    expect(sent).toEqual([
      ['input_audio_buffer.commit', { final: false }],
      ['input_audio_buffer.append', { audio: 'AQI=' }],
      ['input_audio_buffer.commit', { final: true }],
    ]);
  });

  it('marks the first word at the first token that is not blank', async () => {
    const { clock, utterance } = begin();
    utterance.receive(token(' '));
    clock.advance(5);
    utterance.receive(token(' a'));
    utterance.receive(final);
    utterance.receive(done);
    const { marks } = await utterance.result(10);
    expect(marks).toMatchObject({ tokenMs: [0, 5], firstWordMs: 5, finalMs: 5, doneMs: 5 });
  });

  it('adds up what the server dropped', async () => {
    const { utterance } = begin();
    const payload = { kind: 'overload_drop', max_backlog_seconds: 30, source: 'x' } as const;
    for (const dropped_seconds of [1, 0.5]) {
      utterance.receive({ type: 'status', ...ids, payload: { ...payload, dropped_seconds } });
    }
    utterance.receive(final);
    utterance.receive(done);
    expect((await utterance.result(10)).droppedS).toBe(1.5);
  });

  it('ignores frames that come after it has ended', () => {
    const { utterance } = begin();
    utterance.fail(new Error('given up'));
    utterance.receive(token(' late'));
    expect(utterance.text).toBe('');
    const finished = begin().utterance;
    for (const frame of [token(' a'), final, done, token(' late')]) finished.receive(frame);
    expect(finished.text).toBe(' a');
  });
});
