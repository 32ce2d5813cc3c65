import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { CaptureError } from './capture.js';
import { Conversation } from './conversation.js';
import { Dialog } from './dialog.js';
import { PageMarks } from './marks.js';

const START = { type: 'start', sample_rate: 16_000 };
const METRICS = { type: 'metrics', event: 'latency', t0: 1 };
const CANCELLED = { type: 'error', code: 'CANCELLED', message: '', recoverable: true };
const PENDING = { type: 'finalize_pending', reason: 'vad_silence_timeout' };
const partial = (text) => ({ type: 'partial_transcript', text });
const final = (text) => ({ type: 'final_transcript', text, id: 'x' });
const token = (text) => ({ type: 'llm_token', text, done: false });
const speech = (seq) => ({ type: 'tts_chunk', seq, audio_b64: 'AAAA', mime: 'audio/wav' });
const SPOKEN = { type: 'tts_complete' };

class FakeInput {
  how;
  flowing = false;
  unfinished = false;
  open = async (how) => {
    this.how = how;
  };
  flow() {
    this.flowing = true;
  }
  hold() {
    this.flowing = false;
  }
  close() {
    this.how = undefined;
    this.flowing = false;
  }
}

class FakePlayback {
  active = false;
  played = [];
  stops = 0;
  unlock() {}
  async add(seq) {
    this.played.push(seq);
    this.active = true;
  }
  stop() {
    this.active = false;
    this.stops += 1;
  }
}

describe('a dialog', () => {
  let parts;
  let dialog;
  let sent;
  let problems;

  beforeEach(() => {
    jest.useFakeTimers();
    sent = [];
    problems = [];
    parts = {
      socket: { connect: async () => true, send: (frame) => sent.push(frame), close: () => {} },
      input: new FakeInput(),
      playback: new FakePlayback(),
      conversation: new Conversation((code) => problems.push(code)),
      marks: new PageMarks(() => 0),
      settings: { mode: 'voice', handsFree: false },
      oneTurn: () => false,
      onChange: () => {},
      onProblem: (code) => problems.push(code),
    };
    dialog = new Dialog(parts);
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const hear = (...frames) => {
    for (const frame of frames) dialog.onFrame(frame);
  };
  const types = () => sent.map(({ type }) => type);
  const settle = () => jest.advanceTimersByTimeAsync(0);
  const silence = () => {
    parts.playback.active = false;
    dialog.onSilence();
  };

  it('sends start before any audio, with what is wished for', async () => {
    await dialog.speak('open');
    expect(sent).toEqual([{ ...START, mode: 'voice', endpointing: true }]);
    expect(parts.input.flowing).toBe(true);
  });

  it('lets no silence end what is said with a key held', async () => {
    await dialog.speak('held');
    expect(sent).toEqual([{ ...START, mode: 'voice', endpointing: false }]);
    dialog.stop();
    expect(types()).toEqual(['start', 'stop']);
    expect(parts.input.flowing).toBe(false);
  });

  it('keeps the microphone open while the reply comes, for who would interrupt it', async () => {
    await dialog.speak('open');
    hear(partial('hello'), PENDING, final('Hello.'), token('Hi'), speech(0));
    expect(parts.input.flowing).toBe(true);
    expect(parts.playback.played).toEqual([0]);
  });

  it('falls silent and listens on when the server says that somebody spoke', async () => {
    await dialog.speak('open');
    hear(final('Hello.'), token('Hi'), speech(0), { type: 'info', code: 'BARGE_IN', message: '' });
    expect(parts.playback.active).toBe(false);
    expect(parts.conversation.phase).toBe('listening');
    expect(parts.input.flowing).toBe(true);
    expect(types()).toEqual(['start']);
    hear(partial('wait'));
    expect(parts.conversation.turns.map(({ outcome }) => outcome)).toEqual([
      'interrupted',
      undefined,
    ]);
  });

  it('hears the next turn while the reply still sounds, which falls silent at the first word', async () => {
    await dialog.speak('open');
    hear(final('Hello.'), token('Hi'), speech(0), SPOKEN, METRICS);
    await settle();
    expect(types()).toEqual(['start', 'start']);
    const { stops } = parts.playback;
    hear(partial('wait'));
    expect(parts.playback.stops).toBe(stops + 1);
  });

  it('takes that turn back when nobody spoke until the reply was over', async () => {
    await dialog.speak('open');
    hear(final('Hello.'), token('Hi'), speech(0), SPOKEN, METRICS);
    await settle();
    silence();
    expect(types()).toEqual(['start', 'start', 'cancel']);
    expect(parts.input.how).toBeUndefined();
    hear(CANCELLED);
    expect(parts.conversation.turns).toHaveLength(1);
    expect(problems).toEqual([]);
  });

  it('marks when the reply is heard with the turn that it answers', async () => {
    await dialog.speak('open');
    let heard;
    parts.playback.add = async (_seq, _audio, onHeard) => {
      heard = onHeard;
      parts.playback.active = true;
    };
    hear(final('Hello.'), token('Hi'), speech(0), METRICS, SPOKEN);
    await settle();
    heard();
    const [first, second] = parts.conversation.turns;
    expect(first.marks.page).toHaveProperty('t4');
    expect(second.marks.page).not.toHaveProperty('t4');
  });

  it('goes on by itself, hands free', async () => {
    parts.settings.handsFree = true;
    await dialog.speak('open');
    hear(final('Hello.'), token('Hi'), METRICS, SPOKEN);
    await settle();
    expect(types()).toEqual(['start', 'start']);
    silence();
    expect(parts.conversation.phase).toBe('listening');
  });

  it('does not wait for latency marks that never come', async () => {
    parts.settings.handsFree = true;
    await dialog.speak('open');
    hear(final(''));
    expect(types()).toEqual(['start']);
    await jest.advanceTimersByTimeAsync(300);
    expect(types()).toEqual(['start', 'start']);
  });

  it('cancels at any moment, and plays nothing more of it', async () => {
    await dialog.speak('open');
    hear(final('Hello.'), token('Hi'), speech(0));
    dialog.cancel();
    hear(speech(1));
    expect(types()).toEqual(['start', 'cancel']);
    expect(parts.playback.played).toEqual([0]);
    expect(parts.input.how).toBeUndefined();
    hear(CANCELLED, METRICS);
    expect(parts.conversation.current.outcome).toBe('cancelled');
  });

  it('waits for the end of a turn that it stops, before it begins another', async () => {
    await dialog.speak('open');
    hear(final('Hello.'), token('Hi'));
    const speaking = dialog.speak('held');
    await settle();
    expect(types()).toEqual(['start', 'cancel']);
    hear(CANCELLED);
    await speaking;
    expect(types()).toEqual(['start', 'cancel', 'start']);
    expect(parts.conversation.running).toBe(true);
  });

  it('waits 2 s for it at the most', async () => {
    await dialog.speak('open');
    hear(final('Hello.'), token('Hi'));
    void dialog.speak('held');
    await jest.advanceTimersByTimeAsync(1_999);
    expect(types()).toEqual(['start', 'cancel']);
    await jest.advanceTimersByTimeAsync(1);
    expect(types()).toEqual(['start', 'cancel', 'start']);
  });

  it('opens no turn for a key that was let go before the microphone was there', async () => {
    let opened;
    parts.input.open = (how) => {
      parts.input.how = how;
      return new Promise((resolve) => {
        opened = resolve;
      });
    };
    const speaking = dialog.speak('held');
    await settle();
    dialog.stop();
    opened();
    await speaking;
    expect(sent).toEqual([]);
    expect(parts.input.how).toBeUndefined();
  });

  it('says why the microphone does not open', async () => {
    parts.input.open = async () => {
      throw new CaptureError('MIC_REFUSED');
    };
    await dialog.speak('open');
    expect(problems).toEqual(['MIC_REFUSED']);
    expect(sent).toEqual([]);
  });

  it('holds a recording while the server thinks, and goes on with what is left of it', async () => {
    await dialog.speak('file');
    parts.input.unfinished = true;
    hear(PENDING);
    expect(parts.input.flowing).toBe(false);
    hear(final('Half.'), token('Hm'), speech(0), SPOKEN, METRICS);
    expect(types()).toEqual(['start']);
    silence();
    await settle();
    expect(types()).toEqual(['start', 'start']);
    expect(parts.input.flowing).toBe(true);
  });

  it('goes on talking when the connection is back', async () => {
    await dialog.speak('open');
    dialog.onLost(false);
    expect(parts.conversation.current.outcome).toBe('lost');
    expect(parts.input).toMatchObject({ how: 'open', flowing: false });
    dialog.onReconnected();
    expect(types()).toEqual(['start', 'start']);
  });

  describe('with a server that takes one turn a connection', () => {
    beforeEach(() => {
      parts.oneTurn = () => true;
      parts.socket.close = () => sent.push({ type: 'closed' });
      parts.socket.connect = async () => {
        sent.push({ type: 'connected' });
        return true;
      };
    });

    it('asks for nothing but that, and stays until the marks have come', async () => {
      await dialog.speak('open');
      hear(partial('one'), final('One.'));
      expect(sent).toEqual([{ type: 'connected' }, START]);
      hear(METRICS);
      expect(types()).toEqual(['connected', 'start', 'closed']);
      expect(parts.input.how).toBeUndefined();
      expect(parts.conversation.current.marks.server).toEqual(METRICS);
    });

    it('opens another connection for the next one, hands free', async () => {
      parts.settings.handsFree = true;
      await dialog.speak('open');
      hear(final('One.'), METRICS);
      await settle();
      expect(types()).toEqual(['connected', 'start', 'closed', 'connected', 'start']);
    });

    it('leaves, where it would cancel', async () => {
      await dialog.speak('open');
      hear(partial('one'));
      dialog.cancel();
      expect(types()).toEqual(['connected', 'start', 'closed']);
      expect(parts.conversation.current.outcome).toBe('cancelled');
    });
  });

  it('tells of errors that cost something, not of those it caused', async () => {
    await dialog.speak('open');
    const error = (code) => ({ type: 'error', code, message: '', recoverable: true });
    // Nobody spoke: the next turn begins quietly.
    hear(error('MAX_DURATION_EXCEEDED'), error('NOT_STARTED'), CANCELLED);
    expect(problems).toEqual([]);
    await dialog.speak('open');
    hear(final('Hello.'), error('LLM_TIMEOUT'));
    expect(problems).toEqual(['LLM_TIMEOUT']);
  });
});
