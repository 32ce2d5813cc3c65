import { type VoiceMarks, type VoiceReply, voiceTimes } from '../voice-reply.ts';
import { clip, list, ms, type Row, s } from './report.ts';

const LABEL_CHARS = 20;
const CELL_CHARS = 12;

/** Length of all speech, in seconds. */
export function speechS(reply: VoiceReply): number {
  return reply.phrases.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000;
}

/** t0 to t4 of this client, in milliseconds since t0. */
export function clientMarks(marks: VoiceMarks): Record<string, number | undefined> {
  const { firstAudioMs: t0 = 0 } = marks;
  const since = (atMs: number | undefined): number | undefined =>
    atMs === undefined ? undefined : atMs - t0;
  return {
    t0: since(marks.firstAudioMs),
    t1: since(marks.firstPartialMs),
    t2: since(marks.finalMs),
    t3: since(marks.firstTokenMs),
    t4: since(marks.firstSpeechMs),
  };
}

/** What was said on both sides. */
export function replyRows(
  reply: VoiceReply,
  options: { full: boolean; reference: string | undefined; out: string | undefined },
): string {
  const rows: Row[] = [];
  if (reply.transcript !== undefined) {
    rows.push(['Transcript', clip(reply.transcript, options.full) || '(empty)']);
  }
  if (options.reference) rows.push(['Reference', clip(options.reference, options.full)]);
  if (reply.reply !== '') rows.push(['Reply', clip(reply.reply, options.full)]);
  if (reply.phrases.length > 0) {
    const lengths = reply.phrases.map(({ durationMs }) => s(durationMs / 1000)).join(' + ');
    const count = `${reply.phrases.length} phrase${reply.phrases.length === 1 ? '' : 's'}`;
    rows.push(['Speech', `${s(speechS(reply))} in ${count}: ${lengths}`]);
  }
  if (options.out !== undefined) rows.push(['Written to', options.out]);
  for (const { code, message } of reply.faults) rows.push(['Fault', `${code}: ${message}`]);
  if (reply.error) rows.push([reply.outcome, `${reply.error.code}: ${reply.error.message}`]);
  else if (reply.outcome === 'interrupted') rows.push(['interrupted', 'by speech into the reply']);
  return list(rows);
}

const MARKS: readonly (readonly [name: string, label: string])[] = [
  ['t0', 't0 first audio'],
  ['t1', 't1 first partial'],
  ['t2', 't2 final'],
  ['t3', 't3 first token'],
  ['t4', 't4 first speech'],
];

/** Marks and deltas as both sides saw them. The server's marks are moved to its own t0. */
export function latencyTable(reply: VoiceReply): string {
  const { latency } = reply;
  const here = clientMarks(reply.marks);
  const times = voiceTimes(reply.marks);
  const there = (name: string): number | undefined => {
    const mark = latency?.[name as 't0'];
    return mark === undefined || latency?.t0 === undefined ? undefined : mark - latency.t0;
  };
  const row = (label: string, client: number | undefined, server: number | undefined): string =>
    `${label.padEnd(LABEL_CHARS)}${ms(client).padStart(CELL_CHARS)}${ms(server).padStart(CELL_CHARS)}\n`;
  const head = `${''.padEnd(LABEL_CHARS)}${'client'.padStart(CELL_CHARS)}${'server'.padStart(CELL_CHARS)}\n`;
  return [
    head,
    ...MARKS.map(([name, label]) => row(label, here[name], there(name))),
    row('d_first_partial', times.firstPartialMs, latency?.d_first_partial),
    row('d_final_transcript', times.finalTranscriptMs, latency?.d_final_transcript),
    row('d_first_token', times.firstTokenMs, latency?.d_first_token),
    row('d_first_audio', times.firstAudioMs, latency?.d_first_audio),
    ...(reply.marks.speechEndMs === undefined
      ? []
      : [
          row('speech end → final', times.finalAfterSpeechMs, undefined),
          row('speech end → speech', times.audioAfterSpeechMs, undefined),
        ]),
  ].join('');
}
