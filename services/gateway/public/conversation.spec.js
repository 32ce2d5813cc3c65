import { beforeEach, describe, expect, it } from '@jest/globals';
import { Conversation } from './conversation.js';

const partial = (text) => ({ type: 'partial_transcript', text });
const final = (text, more = {}) => ({ type: 'final_transcript', text, id: 'x', ...more });
const token = (text) => ({ type: 'llm_token', text, done: false });
const error = (code) => ({ type: 'error', code, message: '', recoverable: true });
const PENDING = { type: 'finalize_pending', reason: 'vad_silence_timeout' };
const SPOKEN = { type: 'tts_complete' };

describe('a conversation', () => {
  let conversation;
  let faults;
  beforeEach(() => {
    faults = [];
    conversation = new Conversation((code) => faults.push(code));
  });

  /** The phase after each frame. */
  function phases(...frames) {
    return frames.map((frame) => {
      conversation.take(frame);
      return conversation.phase;
    });
  }

  it('goes from listening over thinking and responding to its end', () => {
    conversation.begin('voice');
    expect(conversation.phase).toBe('listening');
    const done = { type: 'llm_token', done: true };
    expect(
      phases(partial('good'), PENDING, final('Good day.'), token('Hel'), token('lo.')),
    ).toEqual(['listening', 'thinking', 'thinking', 'responding', 'responding']);
    expect(phases(done, SPOKEN)).toEqual(['responding', 'complete']);
    expect(conversation.current).toMatchObject({
      you: 'Good day.',
      settled: true,
      reply: 'Hello.',
      outcome: 'complete',
    });
  });

  it('shows the last partial alone, as each holds the whole text', () => {
    conversation.begin('voice');
    phases(partial('one'), partial('one two'));
    expect(conversation.current).toMatchObject({ you: 'one two', settled: false });
  });

  it('ends with the transcript where no reply is asked for, or nothing was said', () => {
    conversation.begin('transcribe');
    expect(conversation.take(final('words'))).toBe(true);
    conversation.begin('voice');
    expect(conversation.take(final(' '))).toBe(true);
    conversation.begin('chat');
    expect(conversation.take(final(''))).toBe(false);
  });

  it('waits for the second of two finals', () => {
    conversation.begin('transcribe');
    expect(conversation.take(final('fast', { provisional: true }))).toBe(false);
    expect(conversation.current.settled).toBe(false);
    expect(conversation.take(final('right', { provisional: false }))).toBe(true);
    expect(conversation.current).toMatchObject({ you: 'right', settled: true });
  });

  it('puts chunks of words together, and ends with the last one', () => {
    conversation.begin('chat');
    const chunk = (text, is_final) => ({ type: 'text_chunk', success: true, text, is_final });
    expect(conversation.take(chunk('one two', false))).toBe(false);
    expect(conversation.take(chunk('three', true))).toBe(true);
    expect(conversation.current.reply).toBe('one two three');
  });

  it.each([
    ['CANCELLED', 'cancelled'],
    ['LLM_TIMEOUT', 'failed'],
    ['ASR_FAIL', 'failed'],
  ])('ends by %s', (code, outcome) => {
    conversation.begin('voice');
    expect(conversation.take(error(code))).toBe(true);
    expect(conversation.current.outcome).toBe(outcome);
    expect(faults).toEqual(code === 'CANCELLED' ? [] : [code]);
  });

  it.each(['TTS_FAIL', 'MAX_DURATION_EXCEEDED', 'NOT_STARTED'])('goes on after %s', (code) => {
    conversation.begin('voice');
    conversation.take(partial('words'));
    expect(conversation.take(error(code))).toBe(false);
    expect(conversation.running).toBe(true);
  });

  it('is interrupted by who speaks into the reply', () => {
    conversation.begin('voice');
    phases(final('Tell me.'), token('Once'));
    expect(conversation.take({ type: 'info', code: 'BARGE_IN', message: '' })).toBe(true);
    expect(conversation.current.outcome).toBe('interrupted');
  });

  it('is not ended by what still comes of the turn before', () => {
    conversation.begin('voice');
    phases(final('a'), token('b'), error('LLM_TIMEOUT'));
    conversation.begin('voice');
    expect(conversation.take(SPOKEN)).toBe(false);
    expect(conversation.phase).toBe('listening');
  });

  it('takes nothing of a turn that is over', () => {
    conversation.begin('voice');
    phases(final('a'), token('b'), error('CANCELLED'), token('late'));
    expect(conversation.current.reply).toBe('b');
  });

  it('keeps the latency of a turn with that turn, also when it comes behind its end', () => {
    const latency = (t0) => ({ type: 'metrics', event: 'latency', t0 });
    conversation.begin('transcribe');
    phases(final('one'), latency(1));
    // A turn that nobody spoke in is taken back; what it measured is nobody's.
    conversation.begin('transcribe');
    phases(error('CANCELLED'));
    conversation.dropEmpty();
    phases(latency(2));
    expect(conversation.turns).toHaveLength(1);
    expect(conversation.current.marks.server).toMatchObject({ t0: 1 });
  });

  it('keeps 200 turns', () => {
    for (let count = 0; count < 205; count += 1) {
      conversation.begin('transcribe');
      conversation.take(final('words'));
    }
    expect(conversation.turns).toHaveLength(200);
    expect(conversation.turns[0].number).toBe(6);
  });
});
