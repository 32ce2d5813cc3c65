import type { VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';

type Frame<T extends VoiceServerFrame['type']> = Extract<VoiceServerFrame, { type: T }>;

/** What is wrong with the order of the frames that came from `start` to the end of the turn; empty when nothing is. */
export function orderFaults(frames: readonly VoiceServerFrame[]): string[] {
  // About the connection, not the utterance: they may come anywhere.
  const told = frames.filter(({ type }) => type !== 'info' && type !== 'pong');
  return [
    ...greetingFaults(told),
    ...transcriptFaults(told),
    ...tokenFaults(told),
    ...speechFaults(told),
    ...markFaults(told),
    ...endFaults(told),
  ];
}

function greetingFaults(frames: readonly VoiceServerFrame[]): string[] {
  const [first] = frames;
  if (first?.type === 'protocol' || first?.type === 'error') return [];
  return [`the first frame is ${first?.type ?? 'missing'}, not protocol`];
}

function transcriptFaults(frames: readonly VoiceServerFrame[]): string[] {
  const faults: string[] = [];
  const finals = positions(frames, 'final_transcript');
  const [final] = finals;
  if (finals.length > 1) faults.push(`${finals.length} final transcripts`);
  if (final === undefined) return faults;
  const beforeFinal = frames.slice(0, final).filter(({ type }) => type !== 'metrics');
  if (beforeFinal.at(-1)?.type !== 'finalize_pending') {
    faults.push('no finalize_pending immediately before the final transcript');
  }
  if (of(frames, 'final_transcript')[0]?.id === '') faults.push('the final transcript has no id');
  const lastPartial = positions(frames, 'partial_transcript').at(-1) ?? -1;
  if (lastPartial > final) faults.push('a partial after the final transcript');
  const partials = of(frames, 'partial_transcript').map(({ text }) => text);
  if (partials.some((text, i) => i > 0 && text === partials[i - 1])) {
    faults.push('a partial that repeats the one before');
  }
  return faults;
}

function tokenFaults(frames: readonly VoiceServerFrame[]): string[] {
  const faults: string[] = [];
  const tokens = positions(frames, 'llm_token');
  const done = frames.findIndex((frame) => frame.type === 'llm_token' && frame.done);
  const [final] = positions(frames, 'final_transcript');
  const [first] = tokens;
  if (first !== undefined && (final === undefined || first < final)) {
    faults.push('a token before the final transcript');
  }
  if (done !== -1 && (tokens.at(-1) ?? -1) > done) faults.push('a token after the last one');
  return faults;
}

function speechFaults(frames: readonly VoiceServerFrame[]): string[] {
  const faults: string[] = [];
  const chunks = of(frames, 'tts_chunk').map(({ seq }) => seq);
  if (chunks.some((seq, i) => i > 0 && seq !== (chunks[i - 1] ?? 0) + 1)) {
    faults.push(`phrases numbered ${chunks.join(', ')}`);
  }
  const [firstToken = Number.POSITIVE_INFINITY] = positions(frames, 'llm_token');
  const [firstChunk] = positions(frames, 'tts_chunk');
  if (firstChunk !== undefined && firstChunk < firstToken) faults.push('speech before any token');
  const open = frames.reduce<number | undefined>((seq, frame) => {
    if (frame.type === 'tts_chunk') {
      if (seq !== undefined) faults.push(`phrase ${seq} was not done when the next one came`);
      return frame.seq;
    }
    if (frame.type !== 'tts_phrase_done') return seq;
    if (frame.seq !== seq) faults.push(`phrase ${frame.seq} is done, but was not under way`);
    return undefined;
  }, undefined);
  const completes = positions(frames, 'tts_complete');
  const [complete] = completes;
  if (completes.length > 1) faults.push(`${completes.length} times tts_complete`);
  if (complete === undefined) return faults;
  if (open !== undefined) faults.push(`phrase ${open} was never done`);
  const reply = ['llm_token', 'tts_chunk', 'tts_phrase_done'];
  const late = frames.slice(complete).find(({ type }) => reply.includes(type));
  if (late) faults.push(`${late.type} after tts_complete`);
  return faults;
}

function markFaults(frames: readonly VoiceServerFrame[]): string[] {
  const faults: string[] = [];
  const latencies = frames.filter(
    (frame): frame is Extract<VoiceServerFrame, { event: 'latency' }> =>
      frame.type === 'metrics' && frame.event === 'latency',
  );
  if (latencies.length > 1) faults.push(`${latencies.length} times the latency marks`);
  for (const { t0, t1, t2, t3, t4 } of latencies) {
    const marks = [t0, t1, t2, t3, t4].filter((mark) => mark !== undefined);
    if (marks.some((mark, i) => i > 0 && mark < (marks[i - 1] ?? mark))) {
      faults.push(`latency marks that go back: ${marks.join(', ')}`);
    }
  }
  return faults;
}

/** After an empty transcript, a cancel or an end without recovery nothing is answered. */
function endFaults(frames: readonly VoiceServerFrame[]): string[] {
  const end = frames.findIndex(
    (frame) =>
      (frame.type === 'final_transcript' && frame.text.trim() === '') ||
      (frame.type === 'error' && (!frame.recoverable || frame.code === 'CANCELLED')),
  );
  if (end === -1) return [];
  const answer = ['llm_token', 'text_chunk', 'tts_chunk'];
  const late = frames.slice(end).find(({ type }) => answer.includes(type));
  const what = frames[end]?.type === 'error' ? 'the error that ended it' : 'an empty transcript';
  return late ? [`${late.type} after ${what}`] : [];
}

function of<T extends VoiceServerFrame['type']>(
  frames: readonly VoiceServerFrame[],
  type: T,
): Frame<T>[] {
  return frames.filter((frame): frame is Frame<T> => frame.type === type);
}

function positions(frames: readonly VoiceServerFrame[], type: VoiceServerFrame['type']): number[] {
  return frames.flatMap((frame, i) => (frame.type === type ? [i] : []));
}
