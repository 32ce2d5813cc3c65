import { markOf } from './marks.js';

const RATE = 16_000;
/** The latency marks follow the end of a turn; a server that sends none is not waited for longer. */
const MARKS_MS = 300;
const CANCEL_MS = 2_000;

/** Who speaks when. While a reply sounds, an open microphone already listens for the next turn. */
export class Dialog {
  #parts;
  /** What the server still says of a turn that was cancelled is not played. */
  #muted = false;
  /** Grows with each thing that is begun: what is older than the newest comes to nothing. */
  #attempt = 0;
  #timer;

  /** `parts`: socket, input, playback, conversation, marks, settings, oneTurn(), onChange(), onProblem(code, details). */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Whether a turn is open in which nothing was heard yet. */
  get waits() {
    const { conversation } = this.#parts;
    return conversation.phase === 'listening' && conversation.current.you === '';
  }

  /** Opens the input and a turn; what goes on is stopped first. `how` is one of Input. */
  async speak(how, file) {
    const { conversation, input, playback, socket, onProblem, onChange } = this.#parts;
    this.#attempt += 1;
    const attempt = this.#attempt;
    playback.unlock();
    if (conversation.running) {
      this.#stopTurn();
      await conversation.ended(CANCEL_MS);
      conversation.end('lost');
    }
    playback.stop();
    if (attempt !== this.#attempt) return;
    try {
      await input.open(how, file);
      if (attempt !== this.#attempt) {
        // Closed meanwhile, it would stay open for nobody.
        if (input.how === undefined) input.close();
        return;
      }
      onChange();
      if ((await socket.connect()) && attempt === this.#attempt) this.#begin();
    } catch (error) {
      if (attempt === this.#attempt) this.#rest();
      onProblem(error.code ?? 'CLOSED', {});
    }
  }

  /** All was said that was to be said. */
  stop() {
    const { socket, input, conversation, onChange } = this.#parts;
    input.hold();
    if (conversation.phase === 'listening') socket.send({ type: 'stop' });
    // Let go before the turn was open.
    else if (!conversation.running) this.#rest();
    onChange();
  }

  /** Everything ends: the turn, the reply, the input. */
  cancel() {
    if (this.#parts.conversation.running) this.#stopTurn();
    this.#parts.playback.stop();
    this.#rest();
  }

  onFrame(frame) {
    const { conversation, input, playback, marks, onChange } = this.#parts;
    const mark = markOf(frame);
    if (mark && conversation.running) marks.mark(mark);
    if (frame.type === 'tts_chunk' && !this.#muted && conversation.running) this.#play(frame);
    // A recording does not speak into its own reply.
    if (frame.type === 'finalize_pending' && input.how !== 'open') input.hold();
    const ended = conversation.take(frame);
    if (frame.code === 'BARGE_IN') this.#bargedIn();
    else if (ended) this.#afterTurn();
    else if (frame.event === 'latency') this.#again();
    // Somebody speaks into what still sounds of the reply before.
    else if (frame.type === 'partial_transcript' && !this.waits) playback.stop();
    onChange();
  }

  /** The connection is lost: for now, or with `lasting` until somebody asks for another. */
  onLost(lasting) {
    const { conversation, input } = this.#parts;
    input.hold();
    conversation.end('lost');
    if (lasting || input.how !== 'open') this.#rest();
  }

  /** The connection is back: whoever was talking goes on. */
  onReconnected() {
    if (this.#parts.input.how === 'open') this.#begin();
  }

  /** The reply has sounded to its end. */
  onSilence() {
    const { input, settings, conversation, onChange } = this.#parts;
    if (input.how === 'file') this.#again();
    else if (input.how === 'open' && !settings.handsFree && (this.waits || !conversation.running)) {
      if (conversation.running) this.#stopTurn();
      this.#rest();
    }
    onChange();
  }

  #begin() {
    const { conversation, input, marks, settings, socket, oneTurn } = this.#parts;
    if (conversation.running) return;
    clearTimeout(this.#timer);
    this.#muted = false;
    conversation.dropEmpty();
    const mode = oneTurn() ? 'transcribe' : settings.mode;
    conversation.begin(mode, marks.begin());
    const wishes = oneTurn() ? {} : { mode, endpointing: input.how === 'open' };
    socket.send({ type: 'start', sample_rate: RATE, ...wishes });
    input.flow();
  }

  #play({ seq, audio_b64 }) {
    const { conversation, marks, playback, onChange } = this.#parts;
    const { page } = conversation.current.marks;
    void playback.add(seq, audio_b64, () => {
      marks.mark('t4', page);
      onChange();
    });
  }

  /** The server has begun the next turn by itself, with what was said into the reply. */
  #bargedIn() {
    const { conversation, marks, playback } = this.#parts;
    playback.stop();
    conversation.begin(conversation.current.mode, marks.begin());
  }

  #afterTurn() {
    const { conversation, input } = this.#parts;
    input.hold();
    conversation.dropEmpty();
    if (conversation.current?.marks.server) this.#again();
    else if (input.how !== undefined) this.#timer = setTimeout(() => this.#again(), MARKS_MS);
  }

  /** The next turn, where there is to be one. */
  #again() {
    const { conversation, input, playback, settings, socket, oneTurn } = this.#parts;
    const { how } = input;
    clearTimeout(this.#timer);
    if (conversation.running || how === undefined) return;
    // Its server hangs up now, too.
    if (oneTurn()) socket.close();
    // A recording that is longer than a turn may be goes on in the next one, when the reply has sounded.
    if (how === 'file' && playback.active) return;
    const goesOn = how === 'file' ? input.unfinished : settings.handsFree || playback.active;
    if (how === 'held' || !goesOn) return this.#rest();
    const attempt = this.#attempt;
    void socket.connect().then((open) => open && attempt === this.#attempt && this.#begin());
  }

  #rest() {
    this.#attempt += 1;
    clearTimeout(this.#timer);
    this.#parts.input.close();
    this.#parts.onChange();
  }

  /** A server of one turn knows no cancel: it is left instead. */
  #stopTurn() {
    const { conversation, input, socket, oneTurn } = this.#parts;
    this.#muted = true;
    input.hold();
    if (!oneTurn()) return socket.send({ type: 'cancel' });
    socket.close();
    conversation.end('cancelled');
  }
}
