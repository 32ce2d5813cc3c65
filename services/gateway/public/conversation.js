/** Turns that are kept to be read again. */
const MAX_TURNS = 200;

/** Errors after which nothing more comes of a turn. */
const ENDING = new Set([
  'ASR_FAIL',
  'ASR_TIMEOUT',
  'LLM_TIMEOUT',
  'LLM_FAIL',
  'UNSUPPORTED_SAMPLE_RATE',
  'CANCELLED',
]);

/**
 * What was said and answered: a list of turns, the last of which may be under way. `phase` is `idle`, `listening`, `thinking`,
 * `responding` or `complete`, as the server has it.
 */
export class Conversation {
  turns = [];
  phase = 'idle';
  #onFault;
  #number = 0;
  /** Whose latency the server tells next. */
  #measured;
  #onEnd = () => {};

  /** `onFault(code, message)` is told what a turn has lost. */
  constructor(onFault) {
    this.#onFault = onFault;
  }

  get current() {
    return this.turns.at(-1);
  }

  /** Whether more frames of the current turn are to come. */
  get running() {
    return this.phase !== 'idle' && this.phase !== 'complete';
  }

  begin(mode, page = {}) {
    if (this.running) this.#end('interrupted');
    this.#number += 1;
    const turn = {
      number: this.#number,
      mode,
      you: '',
      settled: false,
      reply: '',
      marks: { page },
    };
    this.#measured = { ...turn, faults: [], outcome: undefined };
    this.turns.push(this.#measured);
    if (this.turns.length > MAX_TURNS) this.turns.shift();
    this.phase = 'listening';
  }

  /** Takes the next frame of the server. True when it ended the turn. */
  take(frame) {
    // They follow what ends a turn.
    if (frame.type === 'metrics' && frame.event === 'latency' && this.#measured)
      this.#measured.marks.server = frame;
    if (!this.running) return false;
    const turn = this.current;
    switch (frame.type) {
      case 'partial_transcript':
        turn.you = frame.text;
        return false;
      case 'finalize_pending':
        this.phase = 'thinking';
        return false;
      case 'final_transcript':
        return this.#onFinal(turn, frame);
      case 'llm_token':
        if (frame.done) return false;
        return this.#reply(turn, frame.text);
      case 'text_chunk':
        this.#reply(turn, turn.reply === '' ? frame.text : ` ${frame.text}`);
        if (!frame.success) this.#fault('CHAT_FAIL', frame.error);
        return frame.is_final && this.#end(frame.success ? 'complete' : 'failed');
      case 'tts_complete':
        // Of a reply that broke off it may come when the next turn is open.
        return turn.settled && this.#end('complete');
      case 'error':
        return this.#onError(turn, frame);
      case 'info':
        return frame.code === 'BARGE_IN' && this.#end('interrupted');
      default:
        return false;
    }
  }

  /** Ends the turn from here: `lost` with its connection, or `cancelled`. */
  end(outcome) {
    if (this.running) this.#end(outcome);
  }

  /** Settles when no turn is running, and after `ms` however that is. */
  ended(ms) {
    if (!this.running) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#onEnd = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Nothing was said, so nothing is to be shown. */
  dropEmpty() {
    const turn = this.current;
    if (!turn || this.running) return;
    if (turn.you.trim() !== '' || turn.reply !== '' || turn.faults.length > 0) return;
    this.turns.pop();
    this.#measured = undefined;
  }

  #onFinal(turn, { text, provisional }) {
    turn.you = text;
    this.phase = 'thinking';
    if (provisional) return false;
    turn.settled = true;
    const answered = turn.mode === 'chat' || (turn.mode === 'voice' && text.trim() !== '');
    return !answered && this.#end('complete');
  }

  #reply(turn, text) {
    this.phase = 'responding';
    turn.reply += text;
    return false;
  }

  #onError(turn, { code, message }) {
    // Audio on its way when the turn was at its end.
    if (code === 'NOT_STARTED') return false;
    // Nobody spoke for as long as a turn may be.
    if (code === 'MAX_DURATION_EXCEEDED' && turn.you === '') return false;
    if (code !== 'CANCELLED') this.#fault(code, message);
    if (!ENDING.has(code)) return false;
    return this.#end(code === 'CANCELLED' ? 'cancelled' : 'failed');
  }

  #fault(code, message) {
    this.current.faults.push(code);
    this.#onFault(code, message);
  }

  #end(outcome) {
    this.current.outcome = outcome;
    this.phase = 'complete';
    this.#onEnd();
    return true;
  }
}
