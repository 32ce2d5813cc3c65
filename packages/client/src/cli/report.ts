import type { YapContinuity } from '../continuity.ts';
import type { SessionMetrics, UtteranceMetrics } from '../marks.ts';
import type { Summary } from '../stats.ts';
import type { YapTranscript } from '../yap-utterance.ts';

const CLIP_CHARS = 80;
const LABEL_CHARS = 20;
const CELL_CHARS = 12;

export function ms(value: number | undefined): string {
  return value === undefined ? '–' : `${Math.round(value)} ms`;
}

export function s(value: number): string {
  return `${value.toFixed(2)} s`;
}

export function ratio(value: number): string {
  return value.toFixed(3);
}

export function clip(text: string, full: boolean): string {
  const line = text.trim();
  return full || line.length <= CLIP_CHARS ? line : `${line.slice(0, CLIP_CHARS)}…`;
}

export type Row = readonly [label: string, value: string];

export function list(rows: readonly Row[]): string {
  return rows.map(([label, value]) => `${label.padEnd(LABEL_CHARS)}${value}\n`).join('');
}

/** Rows of avg, p50 and p95; a row without values is left out. */
export function summaryTable(
  rows: readonly (readonly [label: string, Summary | undefined, (value: number) => string])[],
): string {
  const line = (label: string, cells: readonly string[]): string =>
    `${label.padEnd(LABEL_CHARS)}${cells.map((cell) => cell.padStart(CELL_CHARS)).join('')}\n`;
  const body = rows.flatMap(([label, summary, format]) =>
    summary ? [line(label, [summary.avg, summary.p50, summary.p95].map(format))] : [],
  );
  return line('', ['avg', 'p50', 'p95']) + body.join('');
}

export function transcriptRows(
  transcript: YapTranscript,
  options: { full: boolean; reference: string | undefined },
): Row[] {
  const rows: Row[] = [['Transcript', clip(transcript.finalText, options.full) || '(empty)']];
  if (options.reference) rows.push(['Reference', clip(options.reference, options.full)]);
  if (transcript.text !== transcript.finalText) {
    rows.push(['Warning', 'the tokens joined are not the final text']);
  }
  if (transcript.droppedS > 0) {
    rows.push([
      'Warning',
      `${s(transcript.droppedS)} of audio dropped by the server under overload`,
    ]);
  }
  return rows;
}

/** Nothing to tell of a session that kept its connection. */
export function continuityRows(continuity: YapContinuity | undefined): Row[] {
  if (!continuity || continuity.resumes === 0) return [];
  const { resumes, pausesMs } = continuity;
  const longest = pausesMs.length > 0 ? ms(Math.max(...pausesMs)) : '–';
  return [
    ['Resumes', String(resumes)],
    ['Pauses', `${pausesMs.length}, the longest ${longest}`],
  ];
}

export function utteranceRows(metrics: UtteranceMetrics): Row[] {
  return [
    ['Audio', s(metrics.audioS)],
    ['TTFW (text)', ms(metrics.ttfwMs)],
    ['Final − FirstAudio', ms(metrics.finalFromFirstAudioMs)],
    ['Flush → Final', ms(metrics.flushToFinalMs)],
    ['Decode tail', ms(metrics.decodeTailMs)],
    ['Delta (audio)', ms(metrics.behindAudioMs)],
    ['RTF server', ratio(metrics.rtfServer)],
    [
      'Partials',
      `${metrics.partials}, ${metrics.partialsBeforeLastChunk} of them before the last chunk was sent`,
    ],
  ];
}

export function sessionRows(metrics: SessionMetrics): Row[] {
  return [
    ['Connect', ms(metrics.connectMs)],
    ['Handshake', ms(metrics.handshakeMs)],
    ['FirstAudio', ms(metrics.firstAudioMs)],
    ['Time to Final', ms(metrics.wallMs)],
    ['Final − Connect', ms(metrics.finalFromConnectMs)],
    ...utteranceRows(metrics),
    ['RTF full', ratio(metrics.rtfFull)],
    ['xRT', ratio(metrics.xRt)],
    ['Close', ms(metrics.closeMs)],
    ['Post-final', ms(metrics.postFinalMs)],
    ['Session', ms(metrics.sessionMs)],
  ];
}

/** One line of JSON; a thousandth is finer than any of these figures is measured. */
export function printJson(stdout: (text: string) => void, value: object): void {
  const rounded = (_key: string, item: unknown): unknown =>
    typeof item === 'number' ? Math.round(item * 1000) / 1000 : item;
  stdout(`${JSON.stringify(value, rounded)}\n`);
}
