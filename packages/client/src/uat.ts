import type { VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import { orderFaults } from './voice-order.ts';
import { type VoiceReply, voiceTimes } from './voice-reply.ts';

/** What became of one utterance of the acceptance run. */
export interface UatUtterance {
  readonly file: string;
  readonly audioS: number;
  /** Undefined when it failed so that nothing can be said of it. */
  readonly reply: VoiceReply | undefined;
  readonly failure: string | undefined;
  readonly frames: readonly VoiceServerFrame[];
}

/** What else was seen in the run. */
export interface UatFacts {
  /** The server answered when all was over, and closed no session by itself. */
  readonly alive: boolean;
  /** Recoverable errors that came, provoked ones included. */
  readonly recoverableErrors: number;
  /** Sessions that ended at one of them. */
  readonly killedByThem: number;
}

export interface Threshold {
  readonly name: string;
  readonly wanted: string;
  readonly measured: string;
  readonly pass: boolean;
}

/** Release gate: every utterance must show these … */
const ALWAYS = 1;
/** … and so many of them these times. */
const MOSTLY = 0.8;
const MAX_FIRST_PARTIAL_MS = 1_500;
const MAX_FIRST_TOKEN_MS = 2_500;
const MAX_FIRST_AUDIO_MS = 3_000;

export function judge(utterances: readonly UatUtterance[], facts: UatFacts): Threshold[] {
  const share = (
    name: string,
    least: number,
    holds: (utterance: UatUtterance) => boolean,
  ): Threshold => {
    const good = utterances.filter(holds).length;
    const wanted = least === 1 ? '100 %' : `≥ ${least * 100} %`;
    const pass = utterances.length > 0 && good >= least * utterances.length;
    return { name, wanted, measured: `${good} of ${utterances.length}`, pass };
  };
  const within = (ms: number | undefined, max: number): boolean => ms !== undefined && ms < max;
  return [
    share('partial before final', ALWAYS, partialBeforeFinal),
    share('final has an id', ALWAYS, ({ reply }) => Boolean(reply?.transcriptId)),
    share('order of events', ALWAYS, ({ frames }) => orderFaults(frames).length === 0),
    share('first partial < 1.5 s', MOSTLY, ({ reply }) =>
      within(times(reply)?.firstPartialMs, MAX_FIRST_PARTIAL_MS),
    ),
    share('first token < 2.5 s after speech', MOSTLY, ({ reply }) =>
      within(times(reply)?.tokenAfterSpeechMs, MAX_FIRST_TOKEN_MS),
    ),
    share('first audio < 3.0 s after speech', MOSTLY, ({ reply }) =>
      within(times(reply)?.audioAfterSpeechMs, MAX_FIRST_AUDIO_MS),
    ),
    {
      name: 'no crash',
      wanted: 'alive',
      measured: facts.alive ? 'alive' : 'gone',
      pass: facts.alive,
    },
    {
      name: 'recoverable errors end no session',
      wanted: '0 ended',
      measured: `${facts.killedByThem} ended, of ${facts.recoverableErrors}`,
      // Without one of them nothing was tried.
      pass: facts.killedByThem === 0 && facts.recoverableErrors > 0,
    },
  ];
}

function partialBeforeFinal({ reply }: UatUtterance): boolean {
  const { firstPartialMs, finalMs } = reply?.marks ?? {};
  return firstPartialMs !== undefined && finalMs !== undefined && firstPartialMs <= finalMs;
}

function times(reply: VoiceReply | undefined): ReturnType<typeof voiceTimes> | undefined {
  return reply && voiceTimes(reply.marks);
}
