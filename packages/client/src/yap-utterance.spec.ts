import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { YapUtterance, type YapUtteranceHandlers } from './yap-utterance.ts';

const ids = { session_id: 's', request_id: 'u' };
const token = (text: string) => ({ type: 'token', ...ids, payload: { text } }) as const;
const final = { type: 'final', ...ids, payload: { normalized_text: ' a' } } as const;
const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
const done = { type: 'done', ...ids, payload: { usage } } as const;

function begin(handlers: YapUtteranceHandlers = {}) {
  const clock = new FakeClock();
  const sent: (string | Buffer)[] = [];
  const output = {
    start: () => void sent.push('start'),
    audio: (pcm: Buffer) => void sent.push(pcm),
    finish: () => void sent.push('finish'),
  };
  return {
    clock,
    sent,
    utterance: new YapUtterance({ requestId: 'u', clock, handlers, output }),
  };
}

describe('YapUtterance', () => {
  it('gives out its start, its audio and its end', () => {
    const { sent, utterance } = begin();
    utterance.append(Buffer.from([1, 2]));
    utterance.finalize();
    expect(sent).toEqual(['start', Buffer.from([1, 2]), 'finish']);
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

  it('takes no other status than a drop for its own, whatever id it has', async () => {
    const statuses: unknown[] = [];
    const { utterance } = begin({ onStatus: (status) => statuses.push(status) });
    const limit = { kind: 'limit_warning', limit: 'session_seconds', used: 8, max: 10 } as const;
    for (const payload of [limit, { kind: 'shutdown', grace_s: 5 } as const]) {
      utterance.receive({ type: 'status', ...ids, payload });
    }
    utterance.receive(final);
    utterance.receive(done);
    expect((await utterance.result(10)).droppedS).toBe(0);
    expect(statuses).toEqual([]);
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
