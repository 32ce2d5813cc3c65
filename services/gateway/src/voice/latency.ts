import type { LatencyMarks } from '@voice-fleet/protocol/session';

export type Mark = keyof LatencyMarks;

/** The time from one mark to another, as clients, logs and metrics name it. */
export const DELTAS = {
  d_first_partial: ['t0', 't1'],
  d_final_transcript: ['t0', 't2'],
  d_first_token: ['t2', 't3'],
  d_first_audio: ['t2', 't4'],
} as const satisfies Record<string, readonly [Mark, Mark]>;

export type Delta = keyof typeof DELTAS;

/** In ms; those whose marks are both there. */
export function deltas(marks: LatencyMarks): Partial<Record<Delta, number>> {
  const found: Partial<Record<Delta, number>> = {};
  for (const [name, [from, to]] of Object.entries(DELTAS) as [Delta, readonly [Mark, Mark]][]) {
    const [start, end] = [marks[from], marks[to]];
    if (start !== undefined && end !== undefined) found[name] = end - start;
  }
  return found;
}

/** When things first happened in one utterance. */
export class LatencyWatch {
  readonly #marks: { -readonly [Name in Mark]?: number } = {};

  /** Only the first time counts. `wallMs`: Unix time in ms. */
  stamp(mark: Mark, wallMs: number): void {
    this.#marks[mark] ??= Math.round(wallMs);
  }

  get marks(): LatencyMarks {
    return { ...this.#marks };
  }
}
